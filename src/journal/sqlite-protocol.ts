/**
 * What the thread is asked: one flat array, the first cell says what. It answers each, in order, but `feed`: the first writes
 * of the batch that comes next, with nothing between.
 */
export const ASK = { batch: 0, probe: 1, step: 2, close: 3, feed: 4, renew: 5 } as const

/** The first cell of an answer. A failure is followed by code and message, a done batch by the newest position. */
export const ANSWER = { done: 0, failed: 1 } as const

export interface WriterData {
  readonly path: string
  readonly idempotencyWindowMs: number
}
