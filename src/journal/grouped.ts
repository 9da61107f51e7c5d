import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Page, Reads } from './reads.js'
import type { Write } from './writes.js'

/** What the parts of a journal share that groups its writes and pages through its reads. */
export abstract class Grouped {
  protected abstract write<T>(write: Write<T>): Promise<T>
  protected abstract read<T>(read: (reads: Reads) => T): Promise<T>

  /** Repeats bounded reads until enough was found or the list ended. */
  protected async collect<Item, Position>(
    start: Position,
    limit: number,
    read: (reads: Reads, from: Position, missing: number) => Page<Item, Position>,
  ): Promise<Item[]> {
    const found: Item[] = []
    let from = start
    while (found.length < limit) {
      const page = await this.read((reads) => read(reads, from, limit - found.length))
      for (const item of page.items.slice(0, limit - found.length)) found.push(item)
      if (page.last === null || found.length === limit) break
      from = page.last
      await nextTurn()
    }
    return found
  }
}
