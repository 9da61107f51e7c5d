import type { Principal } from '../auth/principal.js'
import { didYouMean } from '../config/suggest.js'
import type { InboundEvent, SessionSummary } from '../protocol/index.js'
import { compilePattern } from '../protocol/pattern.js'

/** An event that is not accepted yet. */
export type OfferedEvent = Readonly<Omit<InboundEvent, 'seq' | 'payload'>> & Pick<InboundEvent, 'payload'>

/** Someone asked the gateway itself for something, on a channel or by a method, and it was done. */
interface CommandStep {
  /** Null: `agent.abort` by a run id alone. */
  readonly sessionKey: string | null
  /** The channel, or `ws`. */
  readonly source: string
}

/** What the hooks of each internal event are given. */
export interface HookPayloads {
  /**
   * Before an event is stored; its sender waits, and so do later events of its session, at most for `hooks.timeoutMs`: past
   * it the event is refused as `UNAVAILABLE`. Throwing refuses it: a `GatewayError` as it is, anything else as `FORBIDDEN`. What a hook makes of `event.payload` is what is stored and
   * handled; the rest of the event is as it is.
   */
  'message:received': { event: OfferedEvent; principal: Principal }
  'command:new': CommandStep
  'command:reset': CommandStep
  'command:stop': CommandStep
  'session:created': { sessionKey: string; session: SessionSummary }
  'session:updated': { sessionKey: string; session: SessionSummary }
  'session:reset': { sessionKey: string; session: SessionSummary }
  'session:ended': { sessionKey: string; reason: string }
  'agent:started': { event: InboundEvent; agent: string; attempt: number }
  'agent:completed': { event: InboundEvent; agent: string; content: string }
  'agent:failed': { event: InboundEvent; agent: string; code: string }
  'agent:aborted': { event: InboundEvent; agent: string }
  /** The port is open. */
  'gateway:started': object
  /** Channels begin to connect, and hooks and skills are in place. */
  'gateway:ready': object
  'gateway:stopping': { restart: boolean }
}

export type HookName = keyof HookPayloads
export type HookEvent = { [N in HookName]: { readonly name: N } & HookPayloads[N] }[HookName]
export type EventOf<P extends string> = P extends HookName ? Extract<HookEvent, { name: P }> : HookEvent

const run = ['event', 'agent'] as const
const command = ['sessionKey', 'source'] as const
const session = ['sessionKey', 'session'] as const

/** Every internal event, and the fields that it has besides its name. */
export const HOOK_FIELDS: { readonly [N in HookName]: readonly (keyof HookPayloads[N])[] } = {
  'message:received': ['event', 'principal'],
  'command:new': command,
  'command:reset': command,
  'command:stop': command,
  'session:created': session,
  'session:updated': session,
  'session:reset': session,
  'session:ended': ['sessionKey', 'reason'],
  'agent:started': [...run, 'attempt'],
  'agent:completed': [...run, 'content'],
  'agent:failed': [...run, 'code'],
  'agent:aborted': run,
  'gateway:started': [],
  'gateway:ready': [],
  'gateway:stopping': ['restart'],
}

export const HOOK_NAMES = Object.keys(HOOK_FIELDS) as readonly HookName[]

/** The internal events that any of the patterns (`agent:*`) matches. @throws when one of them matches none. */
export function matchingEvents(patterns: readonly string[]): HookName[] {
  const matched = new Set<HookName>()
  for (const pattern of patterns) {
    const names = HOOK_NAMES.filter(compilePattern(pattern))
    if (names.length === 0) {
      const hint = didYouMean(pattern, HOOK_NAMES) || `; these are ${HOOK_NAMES.join(', ')}`
      throw new Error(`'${pattern}' is no internal event, and no pattern of some${hint}`)
    }
    for (const name of names) matched.add(name)
  }
  return [...matched]
}

/** An event for one who is told of it: what is done to it, neither the run nor the journal sees. */
export function copyOf<E extends HookEvent>(event: E): E {
  if (!('event' in event)) return event
  return { ...event, event: { ...event.event, payload: { ...event.event.payload } } }
}

/** An event as JSON: of whoever sent it no more than the name. */
export function viewOf(event: HookEvent, at: number): Record<string, unknown> {
  if (!('principal' in event)) return { at, ...event }
  const { name, role } = event.principal
  return { at, ...event, principal: { name, role } }
}
