/**
 * The context of a trace as W3C Trace Context writes it (https://www.w3.org/TR/trace-context/). Events, deliveries and what
 * agents are given have these two as fields of their own, as CloudEvents' extension for distributed tracing has.
 */
export interface TraceContext {
  /** `00-<trace id>-<span id>-<flags>`, 55 characters. */
  readonly traceparent: string
  /** What tracing systems say to themselves. */
  readonly tracestate?: string
}

/** What may have come with a trace. */
export type Traced = Partial<TraceContext>

/** The parts of a `traceparent`. */
export interface TraceIds {
  readonly traceId: string
  readonly spanId: string
  readonly flags: number
}

/** §3.2.2.2 and §4.3: of a later version the first fields are as those of version 00, and whatever follows them is theirs. */
const TRACEPARENT =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/s
const VERSION = '00'
/** §3.2.2.5: sampled; Level 2: the trace id is random. The others are set to zero. */
const KNOWN_FLAGS = 0b11

/** §3.3.1.3: the most members that there may be, and (§3.3.1.5) the length that has to be carried on. */
const MAX_MEMBERS = 32
const MAX_STATE_CHARS = 512
const MAX_MEMBER_CHARS = 128
/** Of what is longer nothing is read: headers cannot be, frames can. */
const MAX_READ_CHARS = 8_192
/** §3.3.1.3: key, which may name a tenant, and value. */
const MEMBER =
  /^(?:[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/** What a frame or a request says of its trace. Null: nothing, or nothing that is well-formed (§4.3: then it is ignored). */
export function readTrace(traceparent: unknown, tracestate: unknown): TraceContext | null {
  if (typeof traceparent !== 'string' || traceparent.length > MAX_READ_CHARS) return null
  const match = TRACEPARENT.exec(traceparent.trim())
  if (match === null) return null
  const [, version, traceId, spanId, flags, rest] = match
  if (version === VERSION && rest !== undefined) return null
  const parent = formatTraceparent({ traceId: traceId!, spanId: spanId!, flags: Number.parseInt(flags!, 16) })
  const state = readTracestate(tracestate)
  return state === null ? { traceparent: parent } : { traceparent: parent, tracestate: state }
}

/** Null: there is none, or it is malformed. What is too long loses long members, then the last ones (§3.3.1.5). */
function readTracestate(given: unknown): string | null {
  if (typeof given !== 'string' || given.length > MAX_READ_CHARS) return null
  const members = given
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '')
  if (members.length > MAX_MEMBERS || !members.every((member) => MEMBER.test(member))) return null
  if (members.join(',').length <= MAX_STATE_CHARS) return members.join(',') || null
  const kept = members.filter(({ length }) => length <= MAX_MEMBER_CHARS)
  while (kept.join(',').length > MAX_STATE_CHARS) kept.pop()
  return kept.join(',') || null
}

export function formatTraceparent({ traceId, spanId, flags }: TraceIds): string {
  return `${VERSION}-${traceId}-${spanId}-0${flags & KNOWN_FLAGS}`
}

/** The parts of one that was read. */
export function idsOfTrace({ traceparent }: TraceContext): TraceIds {
  const [, traceId, spanId, flags] = traceparent.split('-')
  return { traceId: traceId!, spanId: spanId!, flags: Number.parseInt(flags!, 16) }
}

/** The trace that an event, a delivery or a run belongs to. Null: none. */
export function traceOf({ traceparent, tracestate }: Traced): TraceContext | null {
  if (traceparent === undefined) return null
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

/** As the journal keeps it: one text. */
export function packTrace({ traceparent, tracestate }: Traced): string | null {
  if (traceparent === undefined) return null
  return tracestate === undefined ? traceparent : `${traceparent} ${tracestate}`
}

export function unpackTrace(text: string): TraceContext {
  const blank = text.indexOf(' ')
  if (blank < 0) return { traceparent: text }
  return { traceparent: text.slice(0, blank), tracestate: text.slice(blank + 1) }
}

/** Log fields, as OpenTelemetry names them in logs that are not its own. */
export function logFieldsOf(trace: TraceContext): { trace_id: string; span_id: string } {
  const { traceId, spanId } = idsOfTrace(trace)
  return { trace_id: traceId, span_id: spanId }
}
