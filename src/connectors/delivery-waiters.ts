import type { Journal } from '../journal/journal.js'
import { type ErrorShape, fromErrorShape } from '../protocol/index.js'

/** Null: the platform took it. */
type Waiter = (error: ErrorShape | null) => void

/** Lets callers wait for what becomes of a delivery, still to come or known already. */
export class DeliveryWaiters {
  readonly #waiters = new Map<string, Set<Waiter>>()

  constructor(private readonly journal: Pick<Journal, 'delivery' | 'deadDelivery'>) {}

  delivered(id: string): void {
    this.#settle(id, null)
  }

  dead(id: string, error: ErrorShape): void {
    this.#settle(id, error)
  }

  /** @throws why it is dead, or the signal's reason. */
  async wait(id: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    let onAbort = () => {}
    let waiter: Waiter = () => {}
    // Listening begins before the journal is asked, so that nothing is missed between.
    const settled = new Promise<ErrorShape | null>((resolve, reject) => {
      waiter = resolve
      onAbort = () => reject(signal.reason)
    })
    settled.catch(() => {})
    signal.addEventListener('abort', onAbort, { once: true })
    const waiters = this.#waiters.get(id) ?? new Set()
    this.#waiters.set(id, waiters.add(waiter))
    try {
      if ((await this.journal.delivery(id)) === null)
        waiter((await this.journal.deadDelivery(id))?.error ?? null)
      const error = await settled
      if (error !== null) throw fromErrorShape(error)
    } finally {
      signal.removeEventListener('abort', onAbort)
      waiters.delete(waiter)
      if (waiters.size === 0 && this.#waiters.get(id) === waiters) this.#waiters.delete(id)
    }
  }

  #settle(id: string, error: ErrorShape | null): void {
    const waiters = this.#waiters.get(id)
    this.#waiters.delete(id)
    for (const settle of waiters ?? []) settle(error)
  }
}
