import type { Database } from 'better-sqlite3'
import { failpoint } from '#failpoint'

/** Messages, or sessions without any, that one step passes: some milliseconds. */
const STEP_ROWS = 2_000

interface Place {
  readonly updatedAt: number
  readonly key: string
}

interface Head extends Place {
  readonly lastMessage: number
  readonly resetSeq: number
}

/** Where in the chain of a session's messages a step ended. */
interface Walk {
  readonly resetSeq: number
  next: number
  /** How many more may stay. */
  left: number
}

const prepare = (db: Database) => ({
  newest: db.prepare<unknown[], number | null>('SELECT max(updated_at) FROM sessions').pluck(),
  session: db.prepare<unknown[], Head>(
    `SELECT updated_at AS updatedAt, key, last_message AS lastMessage, reset_seq AS resetSeq FROM sessions
     WHERE updated_at <= ? AND NOT (updated_at = ? AND key <= ?) AND updated_at >= ?
     ORDER BY updated_at DESC, key LIMIT 1`,
  ),
  previous: db
    .prepare<unknown[], number>('SELECT prev FROM entries WHERE seq = ? AND prev IS NOT NULL')
    .pluck(),
  cut: db.prepare('UPDATE entries SET prev = 0 WHERE seq = ?'),
  expire: db.prepare('INSERT OR IGNORE INTO expiry (at, head) VALUES (0, ?)'),
})

/**
 * Cuts the chains of messages that grew too long, and leaves the rest to retention. A round passes the sessions that changed
 * since the one before, the first of a process all of them.
 */
export class SqliteTrim {
  readonly #sql: ReturnType<typeof prepare>
  #place: Place | null = null
  #walk: Walk | null = null
  /** What changed before needs no look. */
  #since = 0
  #nextSince = 0

  constructor(db: Database) {
    this.#sql = prepare(db)
  }

  /** 0: the round is over. The caller begins and ends the transaction. */
  step(maxMessages: number): number {
    for (let passed = 0; passed < STEP_ROWS; passed++) {
      if (this.#walk !== null) this.#pass(this.#walk)
      else if (!this.#begin(maxMessages)) return 0
    }
    return 1
  }

  /** False: there is no further session. */
  #begin(maxMessages: number): boolean {
    if (this.#place === null) this.#nextSince = this.#sql.newest.get() ?? 0
    const { updatedAt, key } = this.#place ?? { updatedAt: Number.MAX_SAFE_INTEGER, key: '' }
    const session = this.#sql.session.get(updatedAt, updatedAt, key, this.#since)
    this.#place = session ?? null
    if (session === undefined) {
      this.#since = this.#nextSince
      return false
    }
    this.#walk = { next: session.lastMessage, resetSeq: session.resetSeq, left: maxMessages }
    return true
  }

  #pass(walk: Walk): void {
    const previous = walk.next > walk.resetSeq ? this.#sql.previous.get(walk.next) : undefined
    walk.left -= 1
    // What was reset before goes in its own time.
    if (previous === undefined || previous <= walk.resetSeq) this.#walk = null
    else if (walk.left > 0) walk.next = previous
    else {
      this.#sql.cut.run(walk.next)
      failpoint('retention.trimmed')
      this.#sql.expire.run(previous)
      this.#walk = null
    }
  }
}
