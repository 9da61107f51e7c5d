import { Worker } from 'node:worker_threads'
import type { Cell } from './cells.js'
import { ANSWER, ASK, type WriterData } from './sqlite-protocol.js'

/** What the writer's thread answered when it could not do what it was asked. */
export class WriterError extends Error {
  override readonly name = 'WriterError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

interface Waiting {
  resolve(answer: Cell[]): void
  reject(error: Error): void
}

/** The handle of the thread that writes: each question is answered in the order it was asked. */
export class SqliteWorker {
  readonly #worker: Worker
  readonly #waiting: Waiting[] = []
  readonly #onDeath: (error: Error) => void
  /** Questions that wait until the batch which is being fed is complete. */
  #held: (() => void)[] | null = null
  #death: Error | null = null
  #closing = false

  private constructor(data: WriterData, onDeath: (error: Error) => void) {
    this.#onDeath = onDeath
    this.#worker = new Worker(new URL('./sqlite-writer.js', import.meta.url), {
      workerData: data,
      name: 'journal',
    })
    this.#worker.on('message', (answer: Cell[]) => this.#settle(answer))
    this.#worker.on('messageerror', (error) => this.#die(error))
    this.#worker.on('error', (error) => this.#die(error))
    this.#worker.on('exit', (code) => this.#die(new Error(`the journal's thread ended with code ${code}`)))
  }

  /** Resolves once the thread has opened the database. `onDeath` is called once if it ends by itself after that. */
  static async start(data: WriterData, onDeath: (error: Error) => void): Promise<SqliteWorker> {
    let started = false
    const worker = new SqliteWorker(data, (error) => {
      if (started) onDeath(error)
    })
    await new Promise<Cell[]>((resolve, reject) => worker.#waiting.push({ resolve, reject }))
    started = true
    return worker
  }

  /** The first writes of a batch; the rest must follow with `ask`. */
  feed(part: Cell[]): void {
    this.#held ??= []
    if (this.#death === null) this.#worker.postMessage(part)
  }

  /** Rejects with `WriterError`, or with whatever ended the thread. */
  ask(question: Cell[]): Promise<Cell[]> {
    return new Promise((resolve, reject) => {
      const post = () => {
        if (this.#death !== null) return reject(this.#death)
        this.#worker.postMessage(question)
        this.#waiting.push({ resolve, reject })
      }
      const held = this.#held
      if (held !== null && question[0] !== ASK.batch) return void held.push(post)
      this.#held = null
      post()
      for (const postHeld of held ?? []) postHeld()
    })
  }

  /** Lets the thread put its log in place, close the database and end. */
  async close(): Promise<void> {
    this.#closing = true
    try {
      await this.ask([ASK.close])
    } finally {
      await this.#worker.terminate()
    }
  }

  #settle(answer: Cell[]): void {
    const waiting = this.#waiting.shift()
    if (answer[0] === ANSWER.done) waiting?.resolve(answer)
    else waiting?.reject(new WriterError(String(answer[1]), String(answer[2])))
  }

  #die(error: Error): void {
    if (this.#death !== null) return
    this.#death = error
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error)
    if (!this.#closing) this.#onDeath(error)
  }
}
