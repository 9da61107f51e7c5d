interface CloseRow {
  readonly code: number
  /** What a client should do: come back (with backoff), or not until something changes. */
  readonly reconnect: boolean
  readonly description: string
}

/** Every WebSocket close code that the gateway sends (spec §1, Close codes). */
export const CLOSE = {
  SHUTTING_DOWN: { code: 1001, reconnect: true, description: 'The gateway is shutting down.' },
  PROTOCOL_ERROR: {
    code: 1002,
    reconnect: false,
    description: 'A frame breaks the WebSocket protocol (RFC 6455).',
  },
  BINARY: { code: 1003, reconnect: false, description: 'Binary frames are not part of the protocol.' },
  BAD_TEXT: { code: 1007, reconnect: false, description: 'A text frame is not UTF-8.' },
  TOO_MANY_PIECES: {
    code: 1008,
    reconnect: false,
    description: 'A message came in too many small pieces.',
  },
  TOO_BIG: { code: 1009, reconnect: false, description: 'A frame exceeded `policy.maxPayloadBytes`.' },
  INTERNAL: { code: 1011, reconnect: true, description: 'The connection failed inside the gateway.' },
  RESTARTING: {
    code: 1012,
    reconnect: true,
    description: 'The gateway is restarting; come back and resume.',
  },
  OVERLOADED: {
    code: 1013,
    reconnect: true,
    description: 'The gateway has no room for another connection now.',
  },
  PROTOCOL_ABUSE: { code: 4400, reconnect: false, description: 'Too many malformed frames.' },
  UNAUTHORIZED: { code: 4401, reconnect: false, description: 'Missing, wrong or revoked credentials.' },
  ORIGIN_REFUSED: { code: 4403, reconnect: false, description: 'The Origin or Host header is not allowed.' },
  NO_COMMON_PROTOCOL: { code: 4406, reconnect: false, description: 'No protocol version in common.' },
  HELLO_TIMEOUT: { code: 4408, reconnect: true, description: 'No hello arrived in time.' },
  SLOW_CONSUMER: {
    code: 4409,
    reconnect: true,
    description: 'The client reads too slowly; come back and resume.',
  },
  RIGHTS_CHANGED: {
    code: 4410,
    reconnect: true,
    description: 'The rights of these credentials were changed; come back and resume.',
  },
  CLOSED_BY_OPERATOR: {
    code: 4411,
    reconnect: false,
    description: 'An operator has closed this connection.',
  },
  RATE_LIMITED: {
    code: 4429,
    reconnect: true,
    description: 'Too many frames or failed handshakes; come back later.',
  },
} as const satisfies Record<string, CloseRow>

export type CloseReason = keyof typeof CLOSE

const byCode = new Map<number, CloseRow>(Object.values(CLOSE).map((row) => [row.code, row]))

/** Whether a client that was closed with `code` should connect again. Codes that are not ours (a lost network) say yes. */
export function shouldReconnect(code: number): boolean {
  return byCode.get(code)?.reconnect ?? true
}
