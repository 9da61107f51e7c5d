import type { DeadLetterStats } from '../journal/journal.js'
import type { Instruments } from './instruments.js'

interface Named {
  readonly name: string
  readonly help: string
}

/** Two gauges, the number of dead letters of a kind and the age of the oldest in seconds, that share one reading a scrape. */
export function observeDeadLetters(
  instruments: Instruments,
  { count, age }: { readonly count: Named; readonly age: Named },
  read: () => Promise<DeadLetterStats>,
): void {
  let asked: Promise<DeadLetterStats> | null = null
  const ask = () => {
    asked ??= read().finally(() => {
      asked = null
    })
    return asked
  }
  instruments.askedGauge(count.name, count.help, async () => (await ask()).count)
  instruments.askedGauge(age.name, age.help, async () => {
    const { oldestAt } = await ask()
    // A clock that was set back makes it no younger than new.
    return oldestAt === null ? 0 : Math.max(0, Date.now() - oldestAt) / 1_000
  })
}
