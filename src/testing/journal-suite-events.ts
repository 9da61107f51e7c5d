import assert from 'node:assert/strict'
import type { AppendRequest } from '../journal/journal.js'
import {
  again,
  completeEvents,
  sampleAppend,
  sampleEntry,
  sampleError,
  sampleMessage,
  sampleSession,
  sampleTrace,
} from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'

const created = (key: string): AppendRequest['create'] => ({
  record: sampleSession(key),
  entry: sampleEntry('session.created', key, ''),
})

/** Accepted events: from the append over idempotency keys and leases to the outcome. */
export function eventTests(within: DefineJournalTest): void {
  within('stores a session with the first append that needs it, its entry first', async ({ journal }) => {
    const first = await journal.append(sampleAppend(KEY, 'one', { create: created(KEY) }))
    const second = await journal.append(sampleAppend(KEY, 'two', { create: created(KEY) }))
    assert.deepEqual([first.seq, second.seq], [2, 3])
    const events = (await journal.replay(0, 10, 10)).map(({ event }) => event)
    assert.deepEqual(events, ['session.created', 'session.message', 'session.message'])
    assert.equal((await journal.session(KEY))?.key, KEY)
  })

  within('gives an event without entries a position of its own', async ({ journal }) => {
    const bare = { ...sampleAppend(KEY, '', { create: created(KEY) }), entries: [] }
    assert.deepEqual(await journal.append(bare), { duplicate: null, seq: 2 })
    assert.deepEqual(await journal.append(sampleAppend(KEY, 'next')), { duplicate: null, seq: 3 })
    assert.deepEqual(
      (await journal.pending()).map(({ event }) => event.seq),
      [2, 3],
    )
  })

  within('keeps a waiting event as it was accepted', async ({ journal }) => {
    const request = sampleAppend(KEY, 'x', {
      type: 'user.command',
      source: 'cron',
      priority: 'cron',
      payload: { content: 'a "b" \u{1f600}', nested: { list: [1, null, false] } },
      idempotencyKey: 'k',
    })
    await journal.append(request)
    assert.deepEqual(await journal.pending(), [{ event: { ...request.event, seq: 1 }, crashes: 0 }])
    const plain = sampleAppend(KEY, 'y')
    await journal.append(plain)
    assert.deepEqual((await journal.pending())[1]?.event, { ...plain.event, seq: 2 })
  })

  within('keeps the trace of an event, also of a dead letter that is tried again', async (test) => {
    const { traceparent } = sampleTrace
    const requests = [sampleAppend(KEY, 'x', sampleTrace), sampleAppend(KEY, 'y', { traceparent })]
    for (const request of requests) await test.journal.append(request)
    const ids = requests.map(({ event }) => event.id)
    assert.equal(await completeEvents(test.journal, KEY, [ids[0]!], { status: 'failed' }), true)
    const journal = await again(test)
    const letter = await journal.deadLetter(ids[0]!)
    assert.deepEqual(letter?.event, { ...requests[0]!.event, seq: 1 })
    assert.equal(await journal.revive(ids[0]!), true)
    assert.deepEqual(
      (await journal.pending()).map(({ event }) => event),
      requests.map(({ event }, n) => ({ ...event, seq: n + 1 })),
    )
  })

  within('answers a repeated idempotency key with the first event, and does nothing else', async (test) => {
    const { journal } = test
    const options = { idempotencyKey: 'k', digest: 'd1', create: created(KEY) }
    const first = sampleAppend(KEY, 'one', options)
    const again = sampleAppend(KEY, 'two', { ...options, digest: 'd2' })
    const [stored, repeated] = await Promise.all([journal.append(first), journal.append(again)])
    const duplicate = { eventId: first.event.id, runId: first.event.runId, seq: 2, digest: 'd1' }
    assert.deepEqual(stored, { duplicate: null, seq: 2 })
    assert.deepEqual(repeated, { duplicate, seq: null })
    assert.deepEqual(await journal.findDuplicate(KEY, 'k'), duplicate)
    assert.equal(journal.head, 2)
    assert.equal((await journal.pending()).length, 1)
    assert.equal(await journal.findDuplicate(KEY, 'other'), null)
    assert.equal(await journal.findDuplicate('chat:2:main', 'k'), null)
    const elsewhere = await journal.append(sampleAppend('chat:2:main', 'three', { idempotencyKey: 'k' }))
    assert.equal(elsewhere.duplicate, null)
  })

  within('forgets an idempotency key after its window', async ({ journal, clock }) => {
    await journal.append(sampleAppend(KEY, 'one', { idempotencyKey: 'k' }))
    clock.now += 9_999
    const within = await journal.append(sampleAppend(KEY, 'two', { idempotencyKey: 'k' }))
    assert.equal(within.duplicate?.seq, 1)
    clock.now += 1
    assert.equal(await journal.findDuplicate(KEY, 'k'), null)
    const after = await journal.append(sampleAppend(KEY, 'three', { idempotencyKey: 'k' }))
    assert.deepEqual(after, { duplicate: null, seq: 2 })
    assert.deepEqual((await journal.findDuplicate(KEY, 'k'))?.seq, 2)
    assert.equal((await journal.findDuplicate(KEY, 'k'))?.digest, null)
  })

  within('ends an event with its outcome, once', async ({ journal }) => {
    const request = sampleAppend(KEY, 'question')
    const { id, runId } = request.event
    await journal.append(request)
    const none = { message: null, error: null, mergedInto: null }
    const waiting = { eventId: id, runId, sessionKey: KEY, status: 'pending', ...none }
    assert.deepEqual(await journal.outcome(runId), waiting)
    const entries = [sampleEntry('agent.completed', KEY, ''), sampleMessage(KEY, 'answer')]
    assert.equal(await completeEvents(journal, KEY, [id], { entries }), true)
    const message = { seq: 3, ...sampleMessage(KEY, 'answer') }
    assert.deepEqual(await journal.outcome(runId), { ...waiting, status: 'completed', message })
    assert.deepEqual(await journal.pending(), [])
    assert.equal(await completeEvents(journal, KEY, [id], { entries }), false)
    assert.equal(journal.head, 3)
    assert.equal(await journal.outcome('run_nothing'), null)
    assert.equal(await journal.outcome('nonsense'), null)
  })

  within('keeps why a run failed or was aborted', async ({ journal }) => {
    for (const status of ['failed', 'aborted'] as const) {
      const { event, entries } = sampleAppend(KEY, status)
      await journal.append({ event, entries })
      assert.equal(await completeEvents(journal, KEY, [event.id], { status, error: sampleError }), true)
      const outcome = await journal.outcome(event.runId)
      assert.deepEqual([outcome?.status, outcome?.error, outcome?.message], [status, sampleError, null])
    }
  })

  within('ends several events with one outcome, all of them or none', async ({ journal }) => {
    const events = [1, 2, 3].map((n) => sampleAppend(KEY, `${n}`))
    for (const event of events) await journal.append(event)
    const [a = '', b = '', c = ''] = events.map(({ event }) => event.id)
    assert.equal(await completeEvents(journal, KEY, [b]), true)
    for (const ids of [[a, b, c], [b, a], [a, 'evt_nothing'], [a, 'nonsense'], []]) {
      const entries = [sampleMessage(KEY, 'never')]
      assert.equal(await completeEvents(journal, KEY, ids, { entries }), false, ids.join())
    }
    assert.equal(journal.head, 3)
    assert.equal((await journal.pending()).length, 2)
    assert.equal(
      await completeEvents(journal, KEY, [a, c, a], { entries: [sampleMessage(KEY, 'both')] }),
      true,
    )
    for (const { event } of [events[0]!, events[2]!]) {
      const outcome = await journal.outcome(event.runId)
      assert.deepEqual([outcome?.message?.seq, outcome?.mergedInto], [4, null])
    }
  })

  within(
    'gives events that were merged into a run its outcome, and says so, after a restart too',
    async (test) => {
      const { journal, harness } = test
      const requests = [1, 2, 3].map((n) => sampleAppend(KEY, `${n}`))
      for (const request of requests) await journal.append(request)
      const ids = requests.map(({ event }) => event.id)
      const runs = requests.map(({ event }) => event.runId)
      const mergedInto = runs[1] ?? ''
      const entries = [sampleEntry('agent.completed', KEY, ''), sampleMessage(KEY, 'to all')]
      assert.equal(await completeEvents(journal, KEY, ids, { mergedInto, entries }), true)
      assert.equal(journal.stats.completed, 3)
      const again = harness.durable ? await test.reopen() : journal
      for (const run of runs) {
        const outcome = await again.outcome(run)
        const expected = ['completed', 5, run === mergedInto ? null : mergedInto]
        assert.deepEqual([outcome?.status, outcome?.message?.seq, outcome?.mergedInto], expected)
      }
      assert.deepEqual(await again.pending(), [])
    },
  )

  within('merges all events of a run or none, whichever it is that no longer waits', async ({ journal }) => {
    const requests = [1, 2, 3].map((n) => sampleAppend(KEY, `${n}`))
    for (const request of requests) await journal.append(request)
    const [a, b, c] = requests.map(({ event }) => event) as [
      AppendRequest['event'],
      ...AppendRequest['event'][],
    ]
    const other = sampleAppend('chat:2:main', 'elsewhere')
    await journal.append(other)
    assert.equal(await completeEvents(journal, KEY, [b!.id], { status: 'aborted' }), true)
    for (const ids of [
      [a.id, b!.id],
      [b!.id, c!.id],
      [c!.id, other.event.id, a.id],
    ]) {
      const entries = [sampleMessage(KEY, 'never')]
      assert.equal(await completeEvents(journal, KEY, ids, { mergedInto: a.runId, entries }), false)
    }
    assert.equal(journal.head, 4)
    assert.equal((await journal.outcome(b!.runId))?.mergedInto, null)
    assert.equal((await journal.pending()).length, 3)
    const late = { mergedInto: b!.runId, entries: [] }
    assert.equal(await completeEvents(journal, KEY, [a.id], late), true, 'the run itself need not wait')
    assert.equal((await journal.outcome(a.runId))?.mergedInto, b!.runId)
    await assert.rejects(completeEvents(journal, KEY, [c!.id], { mergedInto: c!.id }), TypeError)
    assert.equal((await journal.outcome(c!.runId))?.status, 'pending')
  })

  within('refuses an outcome under a lease that another one has replaced', async ({ journal }) => {
    const { event, entries } = sampleAppend(KEY, 'one')
    await journal.append({ event, entries })
    const old = await journal.lease(KEY)
    const other = await journal.lease('chat:2:main')
    const lease = await journal.lease(KEY)
    assert(lease.fence > old.fence)
    assert.equal(await completeEvents(journal, KEY, [event.id], { lease: old }), false)
    assert.equal(await completeEvents(journal, KEY, [event.id], { lease: other }), false)
    const foreign = { ...lease, owner: 'someone else' }
    assert.equal(await completeEvents(journal, KEY, [event.id], { lease: foreign }), false)
    assert.equal((await journal.pending()).length, 1)
    assert.equal(await completeEvents(journal, KEY, [event.id], { lease }), true)
  })

  within('lists the waiting events in the order of their acceptance, after a restart too', async (test) => {
    const requests = Array.from({ length: 1_200 }, (_, n) => sampleAppend(`chat:${n % 5}:main`, `${n}`))
    const journal = test.harness.durable ? await test.reopen({ maxPendingWrites: 5_000 }) : test.journal
    for (let from = 0; from < requests.length; from += 600) {
      await Promise.all(requests.slice(from, from + 600).map((request) => journal.append(request)))
    }
    const done = requests.filter((_, n) => n % 3 === 0)
    for (const { event } of done) await completeEvents(journal, event.sessionKey, [event.id])
    const expected = requests.filter((_, n) => n % 3 !== 0).map(({ event }) => event.id)
    const again = test.harness.durable ? await test.reopen() : journal
    assert.deepEqual(
      (await again.pending()).map(({ event }) => event.id),
      expected,
    )
  })

  within('refuses ids that are not those of one event, and an id that is taken', async ({ journal }) => {
    const { event, entries } = sampleAppend(KEY, 'one')
    for (const ids of [{ id: 'nonsense' }, { runId: 'run_other' }, { id: 'evt_', runId: 'run_' }]) {
      await assert.rejects(journal.append({ event: { ...event, ...ids }, entries }))
    }
    const [first, taken, next] = await Promise.allSettled([
      journal.append({ event, entries }),
      journal.append({ event, entries, create: created(KEY) }),
      journal.append(sampleAppend(KEY, 'two')),
    ])
    assert.deepEqual([first.status, taken.status, next.status], ['fulfilled', 'rejected', 'fulfilled'])
    assert.equal(journal.head, 2)
    assert.equal(await journal.session(KEY), null)
  })

  within('refuses a write that cannot be put into text, and takes the others', async ({ journal }) => {
    const payload = { never: 1n }
    const [refused, taken] = await Promise.allSettled([
      journal.append(sampleAppend(KEY, '', { payload })),
      journal.append(sampleAppend(KEY, 'two')),
    ])
    assert.equal(refused.status, 'rejected')
    assert.deepEqual(taken.status === 'fulfilled' && taken.value, { duplicate: null, seq: 1 })
  })
}
