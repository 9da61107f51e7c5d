import assert from 'node:assert/strict'
import type { StoredEntry } from '../journal/journal.js'
import { sampleAppend, sampleEntry, sampleMessage, sampleSession } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'

/** The log of durable events: positions, commits, replay. */
export function logTests(within: DefineJournalTest): void {
  within('gives entries consecutive positions in the order of the calls', async ({ journal }) => {
    const requests = Array.from({ length: 50 }, (_, n) => sampleAppend(`chat:${n % 7}:main`, `text ${n}`))
    const results = await Promise.all(requests.map((request) => journal.append(request)))
    assert.deepEqual(
      results,
      requests.map((_, n) => ({ duplicate: null, seq: n + 1 })),
    )
    assert.equal(journal.head, 50)
  })

  within('shows each entry once, in order, before the write that stored it resolves', async ({ journal }) => {
    const seen: StoredEntry[] = []
    const order: string[] = []
    journal.onCommit((entries) => {
      seen.push(...entries)
      for (const { seq } of entries) order.push(`seen ${seq}`)
    })
    await Promise.all(
      [1, 2, 3].map((n) => journal.append(sampleAppend(KEY, `${n}`)).then(() => order.push(`resolved ${n}`))),
    )
    await journal.append(sampleAppend(KEY, '4')).then(() => order.push('resolved 4'))
    for (const n of [1, 2, 3, 4]) {
      assert(order.indexOf(`seen ${n}`) < order.indexOf(`resolved ${n}`), order.join())
    }
    const resolved = order.filter((step) => step.startsWith('resolved'))
    assert.deepEqual(resolved, ['resolved 1', 'resolved 2', 'resolved 3', 'resolved 4'])
    assert.deepEqual(seen, await journal.replay(0, journal.head, 100))
  })

  within('resolves different kinds of writes in the order of the calls', async ({ journal }) => {
    const order: number[] = []
    await Promise.all([
      journal.append(sampleAppend(KEY, 'one')).then(() => order.push(1)),
      journal.saveSession(sampleSession(KEY), []).then(() => order.push(2)),
      journal.deleteSession('no:such:session', []).then(() => order.push(3)),
      journal.append(sampleAppend(KEY, 'two')).then(() => order.push(4)),
    ])
    assert.deepEqual(order, [1, 2, 3, 4])
  })

  within('goes on when a listener throws', async ({ journal }) => {
    journal.onCommit(() => {
      throw new Error('a listener at fault')
    })
    assert.deepEqual(await journal.append(sampleAppend(KEY, 'one')), { duplicate: null, seq: 1 })
    assert.equal(journal.head, 1)
  })

  within('replays in pages, up to a position, with every field as it was given', async ({ journal }) => {
    const entries = [
      sampleEntry('config.changed', null, 'nobody’s'),
      sampleMessage(KEY, 'quote " back\\slash \u{1f600}'),
      sampleEntry('agent.completed', KEY, ''),
    ]
    await journal.append({ ...sampleAppend(KEY, ''), entries })
    await journal.append({ ...sampleAppend(KEY, ''), entries })
    const stored = entries.map((entry, n) => ({ seq: n + 1, ...entry }))
    assert.deepEqual(await journal.replay(0, 3, 100), stored)
    assert.deepEqual(await journal.replay(0, 6, 2), stored.slice(0, 2))
    assert.deepEqual(
      (await journal.replay(2, 5, 2)).map(({ seq }) => seq),
      [3, 4],
    )
    assert.deepEqual(await journal.replay(6, 6, 100), [])
  })

  within('holds every position up to its head', async ({ journal }) => {
    assert.equal(journal.holds(0), true)
    assert.equal(journal.holds(1), false)
    await journal.append(sampleAppend(KEY, 'one'))
    assert.equal(journal.holds(0), true)
    assert.equal(journal.holds(1), true)
    assert.equal(journal.holds(2), false)
    assert.equal(journal.holds(-1), false)
  })

  within('keeps its name, positions and entries when it is opened again', async (test) => {
    if (!test.harness.durable) return
    const { journal } = test
    await journal.append(sampleAppend(KEY, 'one'))
    await journal.append({ ...sampleAppend(KEY, ''), entries: [] })
    const before = await journal.replay(0, 10, 10)
    const again = await test.reopen()
    assert.equal(again.epoch, journal.epoch)
    assert.equal(again.head, 2)
    assert.deepEqual(await again.replay(0, 10, 10), before)
    assert.deepEqual(await again.append(sampleAppend(KEY, 'three')), { duplicate: null, seq: 3 })
  })
}
