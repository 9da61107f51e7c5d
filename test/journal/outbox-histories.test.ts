import { join } from 'node:path'
import t from 'tap'
import type { Journal } from '../../src/journal/journal.js'
import { createMemoryJournal } from '../../src/journal/memory.js'
import type { NewDelivery } from '../../src/journal/outbox.js'
import { openSqliteJournal } from '../../src/journal/sqlite.js'
import {
  completeEvents,
  sampleAppend,
  sampleDelivery,
  sampleEntry,
  sampleError,
  sampleSession,
} from '../../src/testing/journal-samples.js'
import fc from '../helpers/properties.js'
import { journalOptions, temporaryFolder } from './helpers.js'

const KEYS = ['a', 'b'] as const
const DO = [
  'enqueue',
  'answer',
  'parts',
  'delivered',
  'undeliverable',
  'revive',
  'discard',
  'delete',
] as const

interface Step {
  readonly do: (typeof DO)[number] | 'reopen'
  readonly key: (typeof KEYS)[number]
  /** Of the deliveries that there were. */
  readonly nth: number
}

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(...DO) },
    { weight: 1, arbitrary: fc.constant('reopen' as const) },
  ),
  key: fc.constantFrom(...KEYS),
  nth: fc.nat(12),
})

/** What both journals are asked to do, with the same ids. */
function work({ do: what, key, nth }: Step, made: NewDelivery[]): (journal: Journal) => Promise<unknown> {
  const id = made[nth % Math.max(made.length, 1)]?.id ?? 'dlv_none'
  const deliveries = ['one', 'two'].map((text) => sampleDelivery(text, { sessionKey: key, channel: key }))
  const request = sampleAppend(key, 'question')
  const entries = [sampleEntry('delivery.failed', key, id)]
  switch (what) {
    case 'enqueue':
      made.push(...deliveries)
      return (journal) => journal.enqueue(deliveries)
    case 'answer':
      made.push(...deliveries)
      return async (journal) => {
        await journal.append({ ...request, create: undefined })
        const answer = { deliveries, entries: [sampleEntry('agent.completed', key, '')] }
        const first = await completeEvents(journal, key, [request.event.id], answer)
        return [first, await completeEvents(journal, key, [request.event.id], answer)]
      }
    case 'parts':
      return (journal) => journal.partsSent(id, nth)
    case 'delivered':
      return (journal) => journal.delivered(id)
    case 'undeliverable':
      return (journal) => journal.undeliverable(id, sampleError, nth, entries)
    case 'revive':
      return (journal) => journal.reviveDelivery(id)
    case 'discard':
      return (journal) => journal.discardDelivery(id)
    case 'delete':
      return async (journal) => {
        await journal.saveSession(sampleSession(key), [])
        return journal.deleteSession(key, [])
      }
    case 'reopen':
      return async () => {}
  }
}

const look = async (journal: Journal, ids: readonly string[]) => ({
  pending: await journal.pendingDeliveries(),
  waiting: await Promise.all(ids.map((id) => journal.delivery(id))),
  dead: await journal.deadDeliveries({ limit: 100 }),
  each: await Promise.all(ids.map((id) => journal.deadDelivery(id))),
  stats: await journal.deadDeliveryStats(),
  entries: await journal.replay(0, journal.head, 1_000),
})

t.test('the outbox is the same in memory and on disk, whatever the history', async (t) => {
  const folder = await temporaryFolder(t)
  let count = 0
  const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
    const options = { ...journalOptions(), now: () => 1_000_000 }
    const path = join(folder, `${count++}.db`)
    const memory = createMemoryJournal(options)
    let disk = await openSqliteJournal({ ...options, path })
    try {
      const made: NewDelivery[] = []
      for (const step of steps) {
        const run = work(step, made)
        t.strictSame(await run(disk), await run(memory), JSON.stringify(step))
        if (step.do !== 'reopen') continue
        await disk.close()
        disk = await openSqliteJournal({ ...options, path })
      }
      const ids = made.map(({ id }) => id)
      t.strictSame(await look(disk, ids), await look(memory, ids))
    } finally {
      await Promise.all([disk.close(), memory.close()])
    }
    return t.passing()
  })
  await fc.assert(property, { numRuns: 20, endOnFailure: true })
})
