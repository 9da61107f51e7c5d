import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { GatewayError } from '../protocol/index.js'
import type { Page } from './reads.js'
import type { SearchHit, SearchLookup } from './search.js'
import { WriterError } from './sqlite-worker.js'

/** Searches that wait; more are refused. */
const MAX_WAITING = 64
const RETRY_AFTER_MS = 1_000
/** After which the thread gives its memory back. */
const IDLE_MS = 30_000

type Answer =
  | { readonly page: Page<SearchHit, number> }
  | { readonly page?: undefined; readonly code: string; readonly message: string }

/**
 * Searches in a thread of its own, started by the first search: how long a search takes depends on how common its words
 * are, and nothing else may wait for it. One search at a time.
 */
export class SqliteSearch {
  readonly #path: string
  #worker: Worker | null = null
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #idle: NodeJS.Timeout | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** @throws `UNAVAILABLE` when too many wait. */
  async find(lookup: SearchLookup): Promise<Page<SearchHit, number>> {
    if (this.#waiting >= MAX_WAITING) {
      throw new GatewayError('UNAVAILABLE', 'Too many searches wait; try again later.', {
        retryAfterMs: RETRY_AFTER_MS,
      })
    }
    this.#waiting += 1
    clearTimeout(this.#idle)
    const turn = this.#last.then(() => this.#ask(lookup))
    this.#last = turn.catch(() => {})
    try {
      return await turn
    } finally {
      this.#waiting -= 1
      if (this.#waiting === 0) this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref()
    }
  }

  /** Ends the thread; the next search starts another. What is being looked for fails. Calling it twice is fine. */
  async close(): Promise<void> {
    clearTimeout(this.#idle)
    const worker = this.#worker
    this.#worker = null
    await worker?.terminate()
  }

  async #ask(lookup: SearchLookup): Promise<Page<SearchHit, number>> {
    const worker = this.#start()
    const done = new AbortController()
    const died = once(worker, 'exit', { signal: done.signal }).then(() => {
      throw new Error('the thread that searches has ended')
    })
    try {
      worker.postMessage(lookup)
      const answered = once(worker, 'message', { signal: done.signal })
      const [answer] = (await Promise.race([answered, died])) as [Answer]
      if (answer.page === undefined) throw new WriterError(answer.code, answer.message)
      return answer.page
    } finally {
      done.abort()
    }
  }

  #start(): Worker {
    if (this.#worker !== null) return this.#worker
    const url = new URL('./sqlite-searcher.js', import.meta.url)
    const worker = new Worker(url, { workerData: this.#path, name: 'journal search' })
    worker.unref()
    // Whoever waits hears of it; between two searches nobody does.
    worker.on('error', () => {})
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = null
    })
    this.#worker = worker
    return worker
  }
}
