import { CLOSE } from '../protocol/close-codes.js'
import { ERROR_CODES } from '../protocol/errors.js'
import { code, type Parts, table } from './markdown.js'

/** The generated parts of `docs/protocol.md`. */
export const protocolParts: Parts = { errors: errorTable, 'close-codes': closeTable }

function errorTable(): string {
  return table(
    ['Code', 'Retryable', 'HTTP', 'Meaning'],
    Object.entries(ERROR_CODES).map(([name, { retryable, status, description }]) => [
      code(name),
      retryable ? 'yes' : 'no',
      String(status),
      description,
    ]),
  )
}

function closeTable(): string {
  return table(
    ['Code', 'Reconnect', 'Meaning'],
    Object.values(CLOSE).map(({ code: number, reconnect, description }) => [
      String(number),
      reconnect ? 'yes' : 'no',
      description,
    ]),
  )
}
