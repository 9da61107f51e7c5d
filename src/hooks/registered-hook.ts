import { withoutCredentials } from '../config/secrets.js'
import type { Log } from '../log.js'
import { GatewayError, type HookDescription } from '../protocol/index.js'
import type { HookEvent, HookName } from './events.js'

/** What a hook has besides its event. */
export interface HookContext {
  /** Aborts when the hook’s time is over, and when the gateway stops. */
  readonly signal: AbortSignal
  readonly log: Log
}

/** Where hooks come from: a plugin’s `app.on`, a module in a hook folder, a rule of hooks.yaml. */
export type HookKind = HookDescription['kind']

export interface HookDefinition {
  readonly name: string
  readonly kind: HookKind
  /** The plugin, or the file. */
  readonly source: string
  readonly description: string | null
  readonly events: readonly HookName[]
  /** Smaller first. */
  readonly priority: number
  readonly enabled: boolean
  /** Told of `message:received` as of the others, where hooks are asked otherwise. */
  readonly onlyTold?: boolean
  /** Default: `hooks.timeoutMs`. */
  readonly timeoutMs?: number
  /** May be asynchronous. */
  run(event: HookEvent, context: HookContext): unknown
}

export interface HookLimits {
  readonly timeoutMs: number
  /** Calls of one hook that are under way at the same time. */
  readonly concurrency: number
  /** Events that wait for one hook. */
  readonly maxQueued: number
}

/** The order of hooks that nothing else decides. */
export const DEFAULT_PRIORITY = 100

const MAX_ERROR_CHARS = 512

/** A hook at work: called within its bounds, and kept away from everything else when it fails, hangs or is flooded. */
export class RegisteredHook {
  calls = 0
  failures = 0
  timeouts = 0
  dropped = 0
  #lastError: HookDescription['lastError'] = null
  #flooded = false
  #closed = false
  readonly #queue: HookEvent[] = []
  readonly #active = new Set<AbortController>()
  #onIdle: (() => void) | null = null

  constructor(
    readonly definition: HookDefinition,
    private readonly limits: HookLimits,
    private readonly log: Log,
  ) {}

  /** Calls the hook without waiting for it; at once where it has a free place. */
  tell(event: HookEvent): void {
    if (this.#closed) return
    const { concurrency, maxQueued } = this.limits
    if (this.#active.size < concurrency) this.#begin(event)
    else if (this.#queue.length < maxQueued) this.#queue.push(event)
    else this.#drop()
  }

  /** Calls the hook and waits. @throws whatever it throws. */
  async ask(event: HookEvent, signal: AbortSignal): Promise<void> {
    this.calls++
    try {
      await this.definition.run(event, { signal, log: this.log })
    } catch (error) {
      // With a `GatewayError` it does its work: it refuses.
      if (!(error instanceof GatewayError)) this.#failed(event, error)
      throw error
    }
  }

  /** Its time was over, of one that is asked. */
  late(event: HookEvent['name'], timeoutMs: number): void {
    this.timeouts++
    this.#lastError = { at: Date.now(), message: `It did not end within ${timeoutMs} ms.` }
    const { name: hook, source } = this.definition
    this.log.error({ hook, source, event, timeoutMs }, 'hook did not end in time')
  }

  describe(): HookDescription {
    const { name, kind, source, description, events, priority, enabled } = this.definition
    const { calls, failures, timeouts, dropped } = this
    const counts = { calls, failures, timeouts, dropped, waiting: this.#queue.length }
    const lastError = this.#lastError
    return { name, kind, source, description, events: [...events], priority, enabled, ...counts, lastError }
  }

  /** It is told of nothing more; resolves once it has ended with what it was told before. */
  close(): Promise<void> {
    this.#closed = true
    if (this.#active.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle = resolve
    })
  }

  /** What waits for it is dropped. */
  forget(): void {
    const dropped = this.#queue.length
    if (dropped === 0) return
    this.#queue.length = 0
    this.dropped += dropped
    const { name: hook, source } = this.definition
    this.log.warn({ hook, source, dropped }, 'a hook was too slow to be told of the last events')
  }

  /** Whatever is still under way is not waited for, and what waits behind it is dropped. */
  abort(): void {
    this.forget()
    for (const control of this.#active) control.abort()
  }

  #begin(event: HookEvent): void {
    this.calls++
    const control = new AbortController()
    let result: unknown
    try {
      result = this.definition.run(event, { signal: control.signal, log: this.log })
    } catch (error) {
      this.#failed(event, error)
      return
    }
    if (typeof result === 'object' && result !== null) this.#follow(event, result, control)
  }

  #follow(event: HookEvent, result: object, control: AbortController): void {
    const { timeoutMs = this.limits.timeoutMs } = this.definition
    this.#active.add(control)
    const timer = setTimeout(() => {
      this.late(event.name, timeoutMs)
      end()
      control.abort()
    }, timeoutMs)
    timer.unref()
    // Whatever a hook does after its time is nobody's business any more.
    const end = () => {
      clearTimeout(timer)
      if (this.#active.delete(control)) this.#next()
    }
    Promise.resolve(result).then(end, (error: unknown) => {
      if (this.#active.has(control)) this.#failed(event, error)
      end()
    })
  }

  #next(): void {
    while (this.#queue.length > 0 && this.#active.size < this.limits.concurrency) {
      this.#begin(this.#queue.shift()!)
    }
    if (this.#queue.length === 0) this.#flooded = false
    if (this.#active.size === 0) this.#onIdle?.()
  }

  #drop(): void {
    this.dropped++
    if (this.#flooded) return
    // Once, until it has caught up.
    this.#flooded = true
    const { name: hook, source } = this.definition
    const { maxQueued } = this.limits
    this.log.warn({ hook, source, maxQueued }, 'a hook is too slow; it is not told of further events')
  }

  #failed(event: HookEvent, error: unknown): void {
    this.failures++
    this.#lastError = { at: Date.now(), message: textOf(error) }
    const { name: hook, source } = this.definition
    this.log.error({ err: error, hook, source, event: event.name }, 'hook failed')
  }
}

function textOf(error: unknown): string {
  try {
    const text = error instanceof Error ? error.message || error.name : String(error)
    return withoutCredentials(text).slice(0, MAX_ERROR_CHARS)
  } catch {
    return 'It failed with something that cannot be read.'
  }
}
