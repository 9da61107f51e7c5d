interface Item {
  readonly id: string
  readonly at: number
}

/** Ids in the order of their times: a binary heap from which what was set anew is left out when it comes up. */
export class DueQueue {
  readonly #heap: Item[] = []
  readonly #current = new Map<string, Item>()

  get size(): number {
    return this.#current.size
  }

  /** In place of what was set before. */
  set(id: string, at: number): void {
    const item = { id, at }
    this.#current.set(id, item)
    this.#push(item)
    if (this.#heap.length > 2 * this.#current.size + 64) this.#rebuild()
  }

  delete(id: string): void {
    this.#current.delete(id)
  }

  /** When the first one is due; null: there is none. */
  get next(): number | null {
    while (this.#heap.length > 0 && !this.#isCurrent(this.#heap[0]!)) this.#pop()
    return this.#heap[0]?.at ?? null
  }

  /** Takes the first one out if its time has come. */
  take(now: number): string | null {
    const { next } = this
    if (next === null || next > now) return null
    const { id } = this.#pop()
    this.#current.delete(id)
    return id
  }

  #isCurrent(item: Item): boolean {
    return this.#current.get(item.id) === item
  }

  #rebuild(): void {
    this.#heap.length = 0
    for (const item of this.#current.values()) this.#push(item)
  }

  #push(item: Item): void {
    const heap = this.#heap
    let place = heap.push(item) - 1
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (heap[parent]!.at <= item.at) break
      heap[place] = heap[parent]!
      place = parent
    }
    heap[place] = item
  }

  #pop(): Item {
    const heap = this.#heap
    const first = heap[0]!
    const item = heap.pop()!
    if (heap.length === 0) return first
    let place = 0
    for (;;) {
      let child = 2 * place + 1
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++
      if (child >= heap.length || heap[child]!.at >= item.at) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = item
    return first
  }
}
