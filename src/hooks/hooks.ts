import type { Principal } from '../auth/principal.js'
import type { Log } from '../log.js'
import { GatewayError, type InboundEvent, type JsonObject } from '../protocol/index.js'
import { compilePattern } from '../protocol/pattern.js'

/** An event that is not accepted yet. */
export type OfferedEvent = Readonly<Omit<InboundEvent, 'seq' | 'payload'>> & Pick<InboundEvent, 'payload'>

/** What the hooks of each internal event are given. */
export interface HookPayloads {
  /**
   * Before an event is stored; its sender waits, and so do later events of its session, at most for `hooks.timeoutMs`: past
   * it the event is refused as `UNAVAILABLE`. Throwing refuses it: a `GatewayError` as it is, anything else as `FORBIDDEN`. What a hook makes of `event.payload` is what is stored and
   * handled; the rest of the event is as it is.
   */
  'message:received': { event: OfferedEvent; principal: Principal }
  'session:created': { sessionKey: string }
  'agent:started': { event: InboundEvent; agent: string; attempt: number }
  'agent:completed': { event: InboundEvent; agent: string; content: string }
  'agent:failed': { event: InboundEvent; agent: string; code: string }
  'agent:aborted': { event: InboundEvent; agent: string }
  'gateway:started': object
  'gateway:stopping': { restart: boolean }
}

export type HookName = keyof HookPayloads
export type HookEvent = { [N in HookName]: { readonly name: N } & HookPayloads[N] }[HookName]
type EventOf<P extends string> = P extends HookName ? Extract<HookEvent, { name: P }> : HookEvent

/** May be asynchronous. Only `message:received` is waited for. */
export type Hook<P extends string = string> = (event: EventOf<P>) => unknown

const NAMES: readonly HookName[] = [
  'message:received',
  'session:created',
  'agent:started',
  'agent:completed',
  'agent:failed',
  'agent:aborted',
  'gateway:started',
  'gateway:stopping',
]

const LATE_RETRY_MS = 1_000

/** Code of plugins that runs at internal events (`app.on`). A failing hook is logged and harms nothing else. */
export class Hooks {
  /** Hooks that threw; only grows. */
  failures = 0
  /** Events that were refused because their hooks did not end in time; only grows. */
  timeouts = 0
  readonly #byName = new Map<HookName, Hook[]>()

  /** @param timeoutMs how long the `message:received` hooks of one event may take together. */
  constructor(
    private readonly log: Log,
    public timeoutMs: number,
  ) {}

  /** @throws when no internal event matches the pattern (`agent:*`). */
  on<P extends HookName | (string & {})>(pattern: P, hook: Hook<P>): void {
    const matches = compilePattern(pattern)
    const names = NAMES.filter(matches)
    if (names.length === 0)
      throw new Error(`hook '${pattern}': expected one of ${NAMES.join(', ')}, or a pattern`)
    for (const name of names) {
      const hooks = this.#byName.get(name)
      if (hooks === undefined) this.#byName.set(name, [hook as unknown as Hook])
      else hooks.push(hook as unknown as Hook)
    }
  }

  has(name: HookName): boolean {
    return this.#byName.has(name)
  }

  /** Tells the hooks of an event without waiting for them. */
  emit(event: HookEvent): void {
    for (const hook of this.#byName.get(event.name) ?? []) void this.#tell(hook, event)
  }

  /**
   * Asks the `message:received` hooks one after the other; gives the payload that they leave.
   * @throws what the first that refuses throws, or `UNAVAILABLE` past the time for them.
   */
  async check(offer: HookPayloads['message:received']): Promise<JsonObject> {
    const { timeoutMs } = this
    const limit = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.timeouts++
        limit.abort()
        this.log.error({ hook: 'message:received', timeoutMs }, 'hook did not end in time')
        const message = 'The event could not be checked in time; try again later.'
        reject(new GatewayError('UNAVAILABLE', message, { retryAfterMs: LATE_RETRY_MS }))
      }, timeoutMs)
    })
    try {
      await Promise.race([this.#ask(offer, limit.signal), late])
    } finally {
      clearTimeout(timer)
    }
    return offer.event.payload
  }

  /** Ends with the hook that is under way once `signal` aborts: the event was refused. */
  async #ask(offer: HookPayloads['message:received'], signal: AbortSignal): Promise<void> {
    const name = 'message:received'
    try {
      for (const hook of this.#byName.get(name) ?? []) {
        if (signal.aborted) return
        await hook({ name, ...offer })
      }
    } catch (error) {
      if (!(error instanceof GatewayError)) this.#failed(name, error)
      throw error
    }
  }

  async #tell(hook: Hook, event: HookEvent): Promise<void> {
    try {
      await hook(event)
    } catch (error) {
      this.#failed(event.name, error)
    }
  }

  #failed(name: HookName, error: unknown): void {
    this.failures++
    this.log.error({ err: error, hook: name }, 'hook failed')
  }
}
