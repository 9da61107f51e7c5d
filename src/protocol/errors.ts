import { type Static, Type } from '@sinclair/typebox'

interface ErrorRow {
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean
  /** The HTTP status that says the same. */
  readonly status: number
  readonly description: string
}

/** Every error code of the protocol (spec §1, Errors): the one table that frames, HTTP and docs share. */
export const ERROR_CODES = {
  NOT_LINKED: {
    retryable: false,
    status: 424,
    description: 'The provider behind this is not connected or lacks credentials.',
  },
  NOT_PAIRED: {
    retryable: false,
    status: 403,
    description: 'The device is unknown; an operator has to approve it.',
  },
  AGENT_TIMEOUT: {
    retryable: true,
    status: 504,
    description: 'The agent did not finish within its time limit.',
  },
  INVALID_REQUEST: {
    retryable: false,
    status: 400,
    description: 'The request is malformed; the message names the path and what was expected.',
  },
  UNAVAILABLE: {
    retryable: true,
    status: 503,
    description:
      'The gateway cannot take this now: a bound is reached, the journal cannot write, or it is stopping.',
  },
  METHOD_NOT_FOUND: { retryable: false, status: 404, description: 'There is no method of that name.' },
  INTERNAL_ERROR: {
    retryable: false,
    status: 500,
    description: 'Something failed inside the gateway; its log has the cause under the same request id.',
  },
  UNAUTHORIZED: { retryable: false, status: 401, description: 'No valid credentials were given.' },
  FORBIDDEN: { retryable: false, status: 403, description: 'The credentials do not allow this.' },
  NOT_FOUND: {
    retryable: false,
    status: 404,
    description: 'The thing that the request names does not exist.',
  },
  CONFLICT: { retryable: false, status: 409, description: 'The request contradicts what exists already.' },
  RATE_LIMITED: {
    retryable: true,
    status: 429,
    description: 'Too many requests; wait `retryAfterMs` and try again.',
  },
  CANCELLED: { retryable: false, status: 499, description: 'The request or run was cancelled.' },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERROR_CODES

const codes = Object.keys(ERROR_CODES) as ErrorCode[]

export const ErrorCodeSchema = Type.Union(
  codes.map((code) => Type.Literal(code)),
  { description: 'One of the error codes of the protocol.' },
) as unknown as ReturnType<typeof Type.Unsafe<ErrorCode>>

/** An error as it goes over the wire. `details` is always present, `null` where unset. */
export const ErrorShape = Type.Object(
  {
    code: ErrorCodeSchema,
    message: Type.String(),
    details: Type.Unknown({ description: 'Structured detail, or null.' }),
    retryable: Type.Boolean(),
    retryAfterMs: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Milliseconds to wait before a retry.' }),
    ),
  },
  { $id: 'Error', description: 'Why a request was not fulfilled.' },
)
export type ErrorShape = Static<typeof ErrorShape>

export interface GatewayErrorOptions {
  details?: unknown
  /** Overrides the code's own default. */
  retryable?: boolean
  retryAfterMs?: number
  /** Goes to the log only, never to a client. */
  cause?: unknown
}

const BRAND = Symbol.for('lurkbot.GatewayError')

/**
 * The only error whose message reaches a client; anything else becomes `INTERNAL_ERROR`. A plugin may have a copy of this
 * package of its own: its errors are `instanceof` this class as well.
 */
export class GatewayError extends Error {
  readonly [BRAND] = true
  override readonly name = 'GatewayError'
  readonly code: ErrorCode
  readonly details: unknown
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? null
    this.retryable = options.retryable ?? ERROR_CODES[code].retryable
    this.retryAfterMs = options.retryAfterMs
  }

  get statusCode(): number {
    return ERROR_CODES[this.code].status
  }
}

Object.defineProperty(GatewayError, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    if (this !== GatewayError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && BRAND in value
  },
})

/** The wire shape of anything thrown. What is not a `GatewayError` says nothing of the inside. */
export function toErrorShape(error: unknown): ErrorShape {
  // Of another copy of this package, or made by hand, it may have a code that nobody knows.
  if (!(error instanceof GatewayError) || !Object.hasOwn(ERROR_CODES, error.code)) {
    return {
      code: 'INTERNAL_ERROR',
      message: 'Internal error; the gateway log has the cause.',
      details: null,
      retryable: false,
    }
  }
  const { code, message, retryable, retryAfterMs } = error
  const details = jsonOrNull(error.details)
  return retryAfterMs === undefined
    ? { code, message, details, retryable }
    : { code, message, details, retryable, retryAfterMs }
}

/** What is no JSON (a cycle, a BigInt) is left out: the error has to arrive. */
function jsonOrNull(details: unknown): unknown {
  if (details === null || details === undefined) return null
  try {
    return JSON.stringify(details) === undefined ? null : details
  } catch {
    return null
  }
}

/** The inverse of `toErrorShape`, for clients. */
export function fromErrorShape(shape: ErrorShape): GatewayError {
  return new GatewayError(shape.code, shape.message, shape)
}
