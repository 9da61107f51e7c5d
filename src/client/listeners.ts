export type Listener<T> = (value: T) => void

/** Functions that are told of something. One that fails does no harm to the others or to the caller. */
export class Listeners<T> {
  readonly #entries = new Set<Listener<T>>()

  /** Returns the function that ends it. */
  add(listener: Listener<T>): () => void {
    // A function of its own, so that one given twice is called twice and removed once.
    const entry: Listener<T> = (value) => listener(value)
    this.#entries.add(entry)
    return () => {
      this.#entries.delete(entry)
    }
  }

  call(value: T): void {
    for (const listener of [...this.#entries]) {
      try {
        listener(value)
      } catch (error) {
        // The application's bug: reported as uncaught.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
