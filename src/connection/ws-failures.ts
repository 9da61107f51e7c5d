import type { CloseReason } from '../protocol/close-codes.js'

/** What `ws` refuses, by its error code, beside the breaches of RFC 6455 that it closes with 1002. */
const REFUSED_BY_WS: Readonly<Record<string, CloseReason>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'TOO_BIG',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'TOO_BIG',
  WS_ERR_INVALID_UTF8: 'BAD_TEXT',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'TOO_MANY_PIECES',
}

/** Why a connection ends whose socket failed with this error code; null: the network did. */
export function reasonOfFailure(code: string): CloseReason | null {
  return REFUSED_BY_WS[code] ?? (code.startsWith('WS_ERR_') ? 'PROTOCOL_ERROR' : null)
}
