import assert from 'node:assert/strict'
import { completeEvents, sampleAppend, sampleEntry, sampleMessage, sampleSession } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'
/** Past the retention of the suite's journals. */
const LATER = 100_001

/** What goes with time, and what stays. */
export function retentionTests(within: DefineJournalTest): void {
  within('removes old outcomes and entries, and says so; messages and what waits stay', async (test) => {
    const { journal, clock, harness } = test
    const at = clock.now
    await journal.saveSession(sampleSession(KEY), [sampleEntry('session.created', KEY, '', at)])
    const [done, failed, waiting] = ['done', 'failed', 'waiting'].map((text) =>
      sampleAppend(KEY, text, { at }),
    )
    for (const request of [done!, failed!, waiting!]) await journal.append(request)
    const entries = [sampleMessage(KEY, 'answer', at), sampleEntry('agent.completed', KEY, '', at)]
    await completeEvents(journal, KEY, [done!.event.id], { entries })
    await completeEvents(journal, KEY, [failed!.event.id], { status: 'failed' })
    const all = await journal.replay(0, 100, 100)

    clock.now += LATER - 1
    await harness.maintain(journal)
    assert.deepEqual(await journal.replay(0, 100, 100), all)
    assert.equal(journal.holds(0), true)

    clock.now += 1
    await harness.maintain(journal)
    const kept = all.filter(({ event }) => event === 'session.message')
    assert.deepEqual(await journal.replay(0, 100, 100), kept)
    assert.deepEqual(await journal.history(KEY, { limit: 10 }), kept)
    assert.equal(await journal.outcome(done!.event.runId), null)
    assert.equal((await journal.outcome(failed!.event.runId))?.status, 'failed')
    assert.deepEqual(
      (await journal.pending()).map(({ event }) => event.id),
      [waiting!.event.id],
    )
    // The last entry that went was the one at position 6.
    assert.deepEqual(
      [0, 1, 5, 6, 7].map((seq) => journal.holds(seq)),
      [false, false, false, true, false],
    )
    if (!harness.durable) return
    const again = await test.reopen()
    assert.deepEqual([again.head, again.holds(5), again.holds(6)], [6, false, true])
  })

  within('gives no position twice, even when nothing is left', async (test) => {
    const { journal, clock, harness } = test
    const { event } = sampleAppend(KEY, '', { at: clock.now })
    await journal.append({ event, entries: [sampleEntry('agent.failed', KEY, '', clock.now)] })
    await completeEvents(journal, KEY, [event.id])
    clock.now += LATER
    await harness.maintain(journal)
    assert.deepEqual(await journal.replay(0, 100, 100), [])
    const again = harness.durable ? await test.reopen() : journal
    assert.deepEqual(await again.append(sampleAppend(KEY, 'next')), { duplicate: null, seq: 2 })
    assert.equal(again.holds(0), false)
    assert.equal(again.holds(1), true)
  })

  within('removes messages that left their conversation long ago', async ({ journal, clock, harness }) => {
    const at = clock.now
    const record = sampleSession(KEY)
    await journal.saveSession(record, [])
    for (const text of ['one', 'two']) await journal.append(sampleAppend(KEY, text, { at }))
    clock.now += LATER
    await journal.saveSession(record, [], { reset: true })
    await journal.append(sampleAppend(KEY, 'three', { at }))
    await harness.maintain(journal)
    assert.equal((await journal.replay(0, 100, 100)).length, 3)
    clock.now += LATER
    await harness.maintain(journal)
    const left = await journal.history(KEY, { limit: 10 })
    assert.deepEqual(
      left.map(({ seq }) => seq),
      [3],
    )
    assert.deepEqual(await journal.replay(0, 100, 100), left)
    assert.deepEqual([journal.holds(1), journal.holds(2)], [false, true])
  })

  within('removes in time what was written into a session that is gone', async (test) => {
    const { journal, clock, harness } = test
    await journal.append(sampleAppend(KEY, 'nobody’s', { at: clock.now }))
    clock.now += LATER
    await harness.maintain(journal)
    assert.deepEqual(await journal.replay(0, 100, 100), [])
    assert.equal((await journal.pending()).length, 1)
  })

  within('removes more than one step takes, while writes go on', async ({ journal, clock, harness }) => {
    await journal.saveSession(sampleSession(KEY), [])
    for (let round = 0; round < 3; round++) {
      const requests = Array.from({ length: 500 }, (_, n) => sampleAppend(KEY, `${n}`, { at: clock.now }))
      await Promise.all(
        requests.map((request, n) =>
          journal.append({ ...request, entries: [sampleEntry('agent.failed', KEY, `${n}`, clock.now)] }),
        ),
      )
      await Promise.all(requests.map(({ event }) => completeEvents(journal, KEY, [event.id])))
    }
    clock.now += LATER
    const written = [1, 2, 3].map(() => journal.append(sampleAppend(KEY, 'new', { at: clock.now })))
    await Promise.all([harness.maintain(journal), ...written])
    assert.equal((await journal.replay(0, 10_000, 10_000)).length, 3)
    assert.deepEqual([journal.holds(1_499), journal.holds(1_500)], [false, true])
  })

  within('keeps the newest messages of each session, where it is to keep so many', async (test) => {
    const { clock, harness, reopen } = test
    const journal = await reopen({ maxMessages: 3 })
    const fill = async (key: string, count: number) => {
      await journal.saveSession(sampleSession(key, { updatedAt: clock.now }), [])
      for (let n = 1; n <= count; n++) await journal.append(sampleAppend(key, `${n}`, { at: clock.now + n }))
    }
    const kept = async (key: string) => {
      await harness.maintain(journal)
      const entries = await journal.history(key, { limit: 100 })
      return entries.map(({ payload }) => (JSON.parse(payload) as { content: string }).content)
    }
    for (const [n, count] of [0, 1, 2, 3, 4, 7].entries()) await fill(`chat:${n}`, count)
    assert.deepEqual(await kept('chat:2'), ['1', '2'])
    assert.deepEqual(await kept('chat:3'), ['1', '2', '3'])
    assert.deepEqual(await kept('chat:4'), ['2', '3', '4'])
    assert.deepEqual(await kept('chat:5'), ['5', '6', '7'])
    assert.equal((await journal.replay(0, 100, 100)).length, 12)
    clock.now += 10
    await fill('chat:1', 4)
    await journal.saveSession(sampleSession('chat:5', { updatedAt: clock.now }), [], { reset: true })
    await fill('chat:5', 2)
    assert.deepEqual(await kept('chat:1'), ['2', '3', '4'])
    assert.deepEqual(await kept('chat:5'), ['1', '2'])
  })
}
