import type { Log } from '../log.js'
import { GatewayError, type HookDescription, type JsonObject } from '../protocol/index.js'
import {
  copyOf,
  type EventOf,
  type HookEvent,
  type HookName,
  type HookPayloads,
  matchingEvents,
} from './events.js'
import {
  DEFAULT_PRIORITY,
  type HookContext,
  type HookDefinition,
  type HookKind,
  type HookLimits,
  RegisteredHook,
} from './registered-hook.js'

export type { HookEvent, HookName, OfferedEvent } from './events.js'
export type { HookContext } from './registered-hook.js'

/** May be asynchronous. Only `message:received` is waited for. */
export type Hook<P extends string = string> = (event: EventOf<P>, context: HookContext) => unknown

export interface HookOptions {
  /** For `hooks.list`. Default: the pattern. */
  readonly name?: string
  /** Smaller first, then in the order in which they were added. Default: 100. */
  readonly priority?: number
  /** Whose it is. */
  readonly source?: string
}

/** What became of calls, for metrics. */
export type HookTotals = Record<'called' | 'failed' | 'late' | 'dropped', number>

const LATE_RETRY_MS = 1_000

/** Code and rules that run at internal events. A failing hook is logged and harms nothing else. */
export class Hooks {
  /** Events that were refused because their hooks did not end in time; only grows. */
  timeouts = 0
  readonly #byName = new Map<HookName, readonly RegisteredHook[]>()
  readonly #all = new Set<RegisteredHook>()
  /** Of hooks that were removed. */
  readonly #past = new Map<HookKind, HookTotals>()
  #closed = false

  constructor(
    private readonly log: Log,
    readonly limits: HookLimits,
  ) {}

  /** @throws when no internal event matches the pattern (`agent:*`). */
  on<P extends HookName | (string & {})>(pattern: P, hook: Hook<P>, options: HookOptions = {}): void {
    const { name = pattern, priority = DEFAULT_PRIORITY, source = 'gateway' } = options
    this.add({
      name,
      kind: 'plugin',
      source,
      description: null,
      events: matchingEvents([pattern]),
      priority,
      enabled: true,
      run: hook as HookDefinition['run'],
    })
  }

  /** Returns the function that takes the hook away again. */
  add(definition: HookDefinition): () => void {
    const hook = new RegisteredHook(definition, this.limits, this.log)
    this.#all.add(hook)
    const events = definition.enabled ? definition.events : []
    for (const name of events) {
      const hooks = [...(this.#byName.get(name) ?? []), hook]
      this.#byName.set(
        name,
        hooks.sort((a, b) => a.definition.priority - b.definition.priority),
      )
    }
    return () => this.#remove(hook)
  }

  has(name: HookName): boolean {
    return this.#byName.has(name)
  }

  /** Tells the hooks of an event without waiting for them. */
  emit(event: HookEvent): void {
    const hooks = this.#byName.get(event.name)
    if (hooks === undefined) return
    const given = copyOf(event)
    for (const hook of hooks) hook.tell(given)
  }

  /**
   * Asks the `message:received` hooks one after the other; gives the payload that they leave.
   * @throws what the first that refuses throws, or `UNAVAILABLE` past the time for them.
   */
  async check(offer: HookPayloads['message:received']): Promise<JsonObject> {
    const { timeoutMs } = this.limits
    const event = { name: 'message:received', ...offer } as const
    const hooks = this.#byName.get(event.name) ?? []
    const limit = new AbortController()
    const asking: Asking = { hook: null }
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.timeouts++
        asking.hook?.late(event.name, timeoutMs)
        limit.abort()
        const message = 'The event could not be checked in time; try again later.'
        reject(new GatewayError('UNAVAILABLE', message, { retryAfterMs: LATE_RETRY_MS }))
      }, timeoutMs)
    })
    try {
      await Promise.race([ask(hooks, event, limit.signal, asking), late])
    } finally {
      clearTimeout(timer)
    }
    const { payload } = offer.event
    for (const hook of hooks) if (hook.definition.onlyTold) hook.tell(copyOf(event))
    return payload
  }

  /** In the order in which they run. */
  list(): HookDescription[] {
    return [...this.#all]
      .sort((a, b) => a.definition.priority - b.definition.priority)
      .map((hook) => hook.describe())
  }

  /** By kind; these only grow. */
  totals(): ReadonlyMap<HookKind, HookTotals> {
    const totals = new Map([...this.#past].map(([kind, past]) => [kind, { ...past }]))
    for (const hook of this.#all) count(totals, hook)
    return totals
  }

  /** Nothing more is told; what is under way has so long to end. Closing twice is fine. */
  async close(graceMs: number): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs)
    })
    await Promise.race([Promise.all([...this.#all].map((hook) => hook.close())), late])
    clearTimeout(timer)
    for (const hook of this.#all) hook.abort()
  }

  #remove(hook: RegisteredHook): void {
    if (!this.#all.delete(hook)) return
    hook.forget()
    count(this.#past, hook)
    for (const [name, hooks] of this.#byName) {
      const kept = hooks.filter((one) => one !== hook)
      if (kept.length > 0) this.#byName.set(name, kept)
      else this.#byName.delete(name)
    }
    void hook.close()
  }
}

/** Which hook is being asked. */
interface Asking {
  hook: RegisteredHook | null
}

/** Ends with the hook that is under way once `signal` aborts: the event was refused. */
async function ask(
  hooks: readonly RegisteredHook[],
  event: EventOf<'message:received'>,
  signal: AbortSignal,
  asking: Asking,
): Promise<void> {
  for (const hook of hooks) {
    if (hook.definition.onlyTold) continue
    if (signal.aborted) return
    asking.hook = hook
    await hook.ask({ ...event }, signal)
  }
}

function count(totals: Map<HookKind, HookTotals>, hook: RegisteredHook): void {
  const { kind } = hook.definition
  const sum = totals.get(kind) ?? { called: 0, failed: 0, late: 0, dropped: 0 }
  sum.called += hook.calls
  sum.failed += hook.failures
  sum.late += hook.timeouts
  sum.dropped += hook.dropped
  totals.set(kind, sum)
}
