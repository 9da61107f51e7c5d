import type { Journal, SessionRecord } from '../journal/journal.js'
import type { SessionPosition } from '../journal/reads.js'
import type { Log } from '../log.js'

const INTERVAL_MS = 60_000
const PAGE = 100

export interface SessionExpiryOptions {
  /** How long a session stays after its last change. Milliseconds. */
  readonly retentionMs: number
  readonly journal: Pick<Journal, 'sessions'>
  /** Ends the session, unless it has work or was used since `cutoff`. */
  readonly expire: (key: string, cutoff: number) => Promise<void>
  /** Milliseconds since the Unix epoch. Default: the time of day. */
  readonly now?: () => number
  readonly log: Log
}

/** Ends the sessions that nobody has used for long, one after the other in the background: each minute. */
export class SessionExpiry {
  readonly #options: SessionExpiryOptions
  readonly #interval: NodeJS.Timeout
  #round: Promise<void> | null = null
  #stopped = false

  constructor(options: SessionExpiryOptions) {
    this.#options = options
    this.#interval = setInterval(() => void this.run(), INTERVAL_MS).unref()
  }

  /** Runs one round now, or joins the one that runs. Never rejects: what failed is tried again in the next round. */
  run(): Promise<void> {
    this.#round ??= this.#endOld()
      .catch((err: unknown) => this.#options.log.warn({ err }, 'old sessions could not be ended'))
      .finally(() => {
        this.#round = null
      })
    return this.#round
  }

  /** Ends the round after its current session. Calling it twice is fine. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#interval)
    await this.#round
  }

  async #endOld(): Promise<void> {
    const { retentionMs, now = Date.now } = this.#options
    const cutoff = now() - retentionMs
    let before: SessionPosition | null = { updatedAt: cutoff, key: '' }
    while (before !== null && !this.#stopped) before = await this.#endPage(before, cutoff)
  }

  async #endPage(before: SessionPosition, cutoff: number): Promise<SessionPosition | null> {
    const { journal, expire } = this.#options
    const page: { sessions: readonly SessionRecord[]; next: SessionPosition | null } = await journal.sessions(
      {
        before,
        limit: PAGE,
      },
    )
    for (const { key } of page.sessions) if (!this.#stopped) await expire(key, cutoff)
    return page.next
  }
}
