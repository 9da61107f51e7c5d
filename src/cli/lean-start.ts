import { setFlagsFromString } from 'node:v8'

/**
 * What is loaded at a start is loaded once, and what runs runs once: a heap that grows for it, and code that is optimised for
 * it, would cost an idle gateway more than 10 MB that it never needs again. Call it with `true` before the gateway's
 * modules are loaded, and with `false` once it is ready: under load both go on as usual.
 */
export function startLean(lean: boolean): void {
  setFlagsFromString(`--semi-space-growth-factor=${lean ? 1 : 2}`)
  setFlagsFromString(lean ? '--no-opt' : '--opt')
  setFlagsFromString(lean ? '--optimize-for-size' : '--no-optimize-for-size')
}
