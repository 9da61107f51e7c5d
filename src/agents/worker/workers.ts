import { GatewayError } from '../../protocol/index.js'
import type { WorkerPool } from './pool.js'
import type { WorkerLink, WorkerRun } from './worker.js'

/** Which connection works for which agents: what a worker says of a lease is for the pool that gave it. */
export class Workers<C extends object> {
  readonly #of = new Map<C, { readonly link: WorkerLink; readonly pools: Set<WorkerPool> }>()
  readonly #connect: (connection: C) => WorkerLink

  /** @param connect makes the link of a connection that registers for the first time */
  constructor(connect: (connection: C) => WorkerLink) {
    this.#connect = connect
  }

  register(connection: C, pool: WorkerPool, credit: number): void {
    let entry = this.#of.get(connection)
    if (entry === undefined) {
      entry = { link: this.#connect(connection), pools: new Set() }
      this.#of.set(connection, entry)
    }
    entry.pools.add(pool)
    pool.register(entry.link, credit)
  }

  unregister(connection: C, pool: WorkerPool): void {
    const entry = this.#of.get(connection)
    entry?.pools.delete(pool)
    if (entry !== undefined) pool.unregister(entry.link)
  }

  /** Those who worked for one pool work for its successor, where they may; the old one keeps what runs. */
  move(from: WorkerPool, to: WorkerPool, mayWork: (connection: C) => boolean): void {
    for (const [connection, { link, pools }] of this.#of) {
      const credit = from.creditOf(link)
      if (!pools.has(from) || credit === null || !mayWork(connection)) continue
      pools.add(to)
      to.register(link, credit)
    }
  }

  /** Its runs go to others. */
  ended(connection: C): void {
    const entry = this.#of.get(connection)
    this.#of.delete(connection)
    for (const pool of entry?.pools ?? []) pool.unregister(entry!.link)
  }

  /** The run of a lease, and its pool. @throws `CONFLICT`: it is nobody's any more, or not this worker's. */
  leased(connection: C, lease: string): { pool: WorkerPool; run: WorkerRun } {
    const entry = this.#of.get(connection)
    for (const pool of entry?.pools ?? []) {
      const run = pool.find(entry!.link, lease)
      if (run !== undefined) return { pool, run }
    }
    throw new GatewayError('CONFLICT', 'That lease is over: the run has ended, or somebody else has it.', {
      details: { lease },
    })
  }
}
