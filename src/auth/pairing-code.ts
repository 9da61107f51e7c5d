import { randomInt } from 'node:crypto'

/** Crockford's base 32: nothing that is mistaken for something else when it is read out. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CODE_LENGTH = 8

/** A code to be read out, other than those that are in use. */
export function newPairingCode(taken: ReadonlySet<string | null>): string {
  for (;;) {
    const code = Array.from({ length: CODE_LENGTH }, () => DIGITS[randomInt(DIGITS.length)]).join('')
    if (!taken.has(code)) return code
  }
}

/** A code as it was made, from what someone typed. */
export function normalPairingCode(code: string): string {
  return code.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1')
}
