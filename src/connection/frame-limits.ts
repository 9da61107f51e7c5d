import { RateBucket } from './rate-bucket.js'

const BAD_FRAMES = 20
const BAD_FRAMES_WINDOW_MS = 10_000

/** How many frames a connection may send, and how many of them may be none of the protocol (spec §1, §5). */
export class FrameLimits {
  #max: number
  #windowMs: number
  readonly #bucket: RateBucket
  /** Frames beyond the limit: as many again, then the connection ends. */
  #excess: RateBucket | null = null
  #badFrames = 0
  #badFramesSince = 0

  constructor({ max, windowMs }: { readonly max: number; readonly windowMs: number }) {
    this.#max = max
    this.#windowMs = windowMs
    this.#bucket = new RateBucket(max, windowMs)
  }

  /** Other limits from now on. */
  change(max: number, windowMs: number): void {
    this.#max = max
    this.#windowMs = windowMs
    this.#bucket.limit(max, windowMs)
    this.#excess?.limit(max, windowMs)
  }

  /** A frame has come. @returns 0 when it may be taken, else the milliseconds until one may. */
  take(now: number): number {
    return this.#bucket.take(now)
  }

  /** There was one frame too many. @returns whether there have been far too many. */
  exceeded(now: number): boolean {
    this.#excess ??= new RateBucket(this.#max, this.#windowMs)
    return this.#excess.take(now) > 0
  }

  /** A frame was none of the protocol. @returns whether too many were. */
  bad(now: number): boolean {
    if (now - this.#badFramesSince > BAD_FRAMES_WINDOW_MS) {
      this.#badFramesSince = now
      this.#badFrames = 0
    }
    return ++this.#badFrames > BAD_FRAMES
  }
}
