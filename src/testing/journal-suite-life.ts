import assert from 'node:assert/strict'
import type { Journal } from '../journal/journal.js'
import { sampleAppend, sampleSession } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'
const unavailable = { name: 'GatewayError', code: 'UNAVAILABLE', retryable: true }

/** Bounds, health, counters, closing. */
export function lifeTests(within: DefineJournalTest): void {
  within('refuses writes beyond its bound at once, and takes them again when there is room', async (test) => {
    const journal = await test.reopen({ maxPendingWrites: 10 })
    const results = await Promise.allSettled(
      Array.from({ length: 15 }, (_, n) => journal.append(sampleAppend(KEY, `${n}`))),
    )
    const refused = results.filter((result) => result.status === 'rejected')
    assert.deepEqual(
      results.map(({ status }) => status),
      [...Array(10).fill('fulfilled'), ...Array(5).fill('rejected')],
    )
    for (const { reason } of refused) {
      assert.deepEqual([reason.code, reason.retryable], ['UNAVAILABLE', true])
      assert(reason.retryAfterMs > 0)
    }
    assert.equal(journal.stats.refused, 5)
    assert.deepEqual(await journal.append(sampleAppend(KEY, 'next')), { duplicate: null, seq: 11 })
    assert.equal(journal.health().status, 'ok')
  })

  within('bounds the text that waits as well, but takes one write of any size', async (test) => {
    const journal = await test.reopen({ maxPendingChars: 10_000 })
    const large = () => journal.append(sampleAppend(KEY, 'x'.repeat(20_000)))
    const [first, second] = await Promise.allSettled([large(), large()])
    assert.deepEqual([first.status, second.status], ['fulfilled', 'rejected'])
    assert.deepEqual(await large(), { duplicate: null, seq: 2 })
  })

  within('counts what it does', async ({ journal }) => {
    const { event, entries } = sampleAppend(KEY, 'one', { idempotencyKey: 'k' })
    await journal.append({ event, entries })
    await journal.append(sampleAppend(KEY, 'again', { idempotencyKey: 'k' }))
    const lease = await journal.lease(KEY)
    const outcome = { lease, eventIds: [event.id], status: 'completed', error: null, attempts: 1 } as const
    await journal.complete({ ...outcome, entries: [] })
    await journal.complete({ ...outcome, entries: [] })
    const { commitSeconds, ...counts } = journal.stats
    assert.deepEqual(counts, { appended: 1, completed: 1, commits: 4, failedCommits: 0, refused: 0 })
    assert(commitSeconds > 0)
  })

  within('counts no death for what was being handled when it was closed', async (test) => {
    const requests = [1, 2].map((n) => sampleAppend(KEY, `${n}`))
    for (const request of requests) await test.journal.append(request)
    const [first, second] = requests.map(({ event }) => event.id)
    test.journal.begun([first!, second!])
    test.journal.released([second!])
    const journal = test.harness.durable ? await test.reopen() : test.journal
    assert.deepEqual(
      (await journal.pending()).map(({ crashes }) => crashes),
      [0, 0],
    )
  })

  within('takes word of handlers whatever the events are, and after it was closed', async ({ journal }) => {
    const say = async () => {
      for (const ids of [[], ['nonsense'], ['evt_nothing', 'evt_a b\n']]) {
        await journal.begin(ids)
        journal.begun(ids)
        journal.released(ids)
      }
    }
    await say()
    assert.deepEqual(await journal.pending(), [])
    await journal.close()
    await say()
  })

  within(
    'finishes what waits when it is closed, refuses everything after, and closes twice',
    async (test) => {
      const { journal } = test
      const waiting = [1, 2, 3].map((n) => journal.append(sampleAppend(KEY, `${n}`)))
      const closed = journal.close()
      const late = journal.append(sampleAppend(KEY, 'late'))
      await assert.rejects(late, unavailable)
      assert.deepEqual(
        (await Promise.all(waiting)).map(({ seq }) => seq),
        [1, 2, 3],
      )
      await Promise.all([closed, journal.close()])
      await journal.close()
      const refused: ((journal: Journal) => Promise<unknown>)[] = [
        (it) => it.append(sampleAppend(KEY, 'x')),
        (it) => it.saveSession(sampleSession(KEY), []),
        (it) => it.deleteSession(KEY, []),
        (it) => it.revive('evt_x'),
        (it) => it.pending(),
        (it) => it.session(KEY),
        (it) => it.sessions({ limit: 1 }),
        (it) => it.replay(0, 1, 1),
      ]
      for (const call of refused) await assert.rejects(call(journal), unavailable, `${call}`)
      if (!test.harness.durable) return
      const again = await test.reopen()
      assert.equal((await again.pending()).length, 3)
    },
  )
}
