import assert from 'node:assert/strict'
import type { Journal, StoredEntry } from '../journal/journal.js'
import type { DeliveryRecord, NewDelivery } from '../journal/outbox.js'
import {
  again,
  completeEvents,
  sampleAppend,
  sampleDelivery,
  sampleEntry,
  sampleError,
  sampleSession,
  sampleTrace,
} from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'

const waiting = async (journal: Journal): Promise<string[]> =>
  (await journal.pendingDeliveries()).map(({ id }) => id)

async function die(journal: Journal, delivery: NewDelivery): Promise<void> {
  await journal.enqueue([delivery])
  assert.equal(await journal.undeliverable(delivery.id, sampleError, 3, []), true)
}

/** What is said on channels, until the platform took it. */
export function outboxTests(within: DefineJournalTest): void {
  within('keeps what is to be said, whole and in order', async (test) => {
    const content = {
      text: 'ü 🙂',
      attachments: [{ type: 'image/png', data: 'eA==' }],
      runId: 'run_1',
      replyTo: '7',
    }
    const deliveries = [
      sampleDelivery('one', { thread: 't', content, ...sampleTrace }),
      sampleDelivery('two', { channel: 'other', peer: '2' }),
      sampleDelivery('three'),
    ]
    await test.journal.enqueue(deliveries.slice(0, 2))
    await test.journal.enqueue([])
    await test.journal.enqueue(deliveries.slice(2))
    const journal = await again(test)
    const pending = await journal.pendingDeliveries()
    assert.deepEqual(
      pending.map(({ seq, ...rest }) => rest),
      deliveries.map(({ id, channel, peer }) => ({ id, channel, peer })),
    )
    const expected: DeliveryRecord = {
      ...deliveries[0]!,
      seq: pending[0]!.seq,
      partsSent: 0,
      attempts: 0,
    }
    assert.deepEqual(await journal.delivery(expected.id), expected)
    assert.equal(await journal.delivery('dlv_nothing'), null)
    assert.deepEqual(await journal.deadDeliveries({ limit: 10 }), [])
  })

  within('stores the deliveries of an outcome together with it, or neither', async (test) => {
    const { journal } = test
    const [answered, foreign] = [sampleAppend(KEY, 'a'), sampleAppend(KEY, 'b')]
    await journal.append(answered)
    await journal.append(foreign)
    const delivery = sampleDelivery('answer')
    const outcome = { entries: [sampleEntry('agent.completed', KEY, '')], deliveries: [delivery] }
    const fenced = await journal.lease(KEY)
    await journal.lease(KEY)
    assert.equal(
      await completeEvents(journal, KEY, [answered.event.id], { ...outcome, lease: fenced }),
      false,
    )
    assert.equal(await completeEvents(journal, KEY, ['evt_nothing'], outcome), false)
    assert.deepEqual(await waiting(journal), [])
    const results = await Promise.all([
      completeEvents(journal, KEY, ['evt_nothing'], outcome),
      completeEvents(journal, KEY, [answered.event.id], outcome),
    ])
    assert.deepEqual(results, [false, true])
    const reopened = await again(test)
    assert.deepEqual(await waiting(reopened), [delivery.id])
    assert.equal((await reopened.outcome(answered.event.runId))?.status, 'completed')
    const repeated = [sampleDelivery('never')]
    assert.equal(
      await completeEvents(reopened, KEY, [answered.event.id], { ...outcome, deliveries: repeated }),
      false,
    )
    assert.deepEqual(await waiting(reopened), [delivery.id])
  })

  within('gives deliveries places behind the entries of their commit', async ({ journal }) => {
    const published: StoredEntry[] = []
    journal.onCommit((entries) => published.push(...entries))
    const request = sampleAppend(KEY, 'a')
    await journal.append(request)
    const entries = ['x', 'y'].map((name) => sampleEntry(name, KEY, ''))
    const deliveries = [sampleDelivery('1'), sampleDelivery('2')]
    await completeEvents(journal, KEY, [request.event.id], { entries, deliveries })
    await journal.append(sampleAppend(KEY, 'b'))
    const seqs = published.map(({ seq }) => seq)
    assert.deepEqual(seqs.slice(0, 3), [1, 2, 3])
    assert.deepEqual(
      (await journal.pendingDeliveries()).map(({ seq }) => seq),
      [4, 5],
    )
    assert.deepEqual(
      (await journal.replay(0, journal.head, 10)).map(({ seq }) => seq),
      seqs,
    )
  })

  within('remembers which parts were taken, and forgets what was delivered', async (test) => {
    const [first, second] = [sampleDelivery('one'), sampleDelivery('two')]
    await test.journal.enqueue([first, second])
    assert.equal(await test.journal.partsSent(first.id, 1), true)
    assert.equal(await test.journal.partsSent(first.id, 2), true)
    let journal = await again(test)
    assert.equal((await journal.delivery(first.id))?.partsSent, 2)
    assert.equal((await journal.delivery(second.id))?.partsSent, 0)
    assert.equal(await journal.delivered(first.id), true)
    assert.equal(await journal.delivered(first.id), false)
    assert.equal(await journal.partsSent(first.id, 3), false)
    assert.equal(await journal.undeliverable(first.id, sampleError, 1, []), false)
    journal = await again(test)
    assert.equal(await journal.delivery(first.id), null)
    assert.deepEqual(await waiting(journal), [second.id])
  })

  within('takes a delivery of the same id once', async ({ journal }) => {
    const delivery = sampleDelivery('one')
    await journal.enqueue([delivery])
    await journal.enqueue([{ ...delivery, content: { text: 'another' } }])
    assert.deepEqual(await waiting(journal), [delivery.id])
    assert.equal((await journal.delivery(delivery.id))?.content.text, 'one')
  })

  within('keeps what cannot be delivered as a dead letter, with its event', async (test) => {
    const delivery = sampleDelivery('one')
    await test.journal.enqueue([delivery])
    await test.journal.partsSent(delivery.id, 1)
    const published: StoredEntry[] = []
    test.journal.onCommit((entries) => published.push(...entries))
    const failure = sampleEntry('delivery.failed', KEY, '')
    assert.equal(await test.journal.undeliverable(delivery.id, sampleError, 7, [failure]), true)
    assert.equal(await test.journal.undeliverable(delivery.id, sampleError, 7, [failure]), false)
    assert.deepEqual(
      published.map(({ event }) => event),
      ['delivery.failed'],
    )
    const journal = await again(test)
    const dead = await journal.deadDelivery(delivery.id)
    const { seq = 0 } = dead ?? {}
    const end = { partsSent: 1, attempts: 7, error: sampleError, diedAt: test.clock.now }
    assert.deepEqual(dead, { ...delivery, seq, ...end })
    assert.deepEqual(await journal.deadDeliveries({ limit: 10 }), [dead])
    assert.deepEqual(await waiting(journal), [])
    assert.equal(await journal.delivery(delivery.id), null)
    assert.equal(await journal.delivered(delivery.id), false)
    assert.equal(await journal.deadDelivery('dlv_nothing'), null)
  })

  within(
    'makes a dead delivery wait again behind all others, with the parts that were taken',
    async (test) => {
      const [dead, other] = [sampleDelivery('dead'), sampleDelivery('other')]
      await test.journal.enqueue([dead, other])
      await test.journal.partsSent(dead.id, 2)
      await test.journal.undeliverable(dead.id, sampleError, 3, [])
      assert.equal(await test.journal.reviveDelivery(other.id), null)
      assert.equal(await test.journal.reviveDelivery('dlv_nothing'), null)
      const revived = await test.journal.reviveDelivery(dead.id)
      assert.deepEqual(revived && { ...revived, seq: 0 }, { id: dead.id, channel: 'chat', peer: '1', seq: 0 })
      assert.equal(await test.journal.reviveDelivery(dead.id), null)
      const later = sampleDelivery('later')
      await test.journal.enqueue([later])
      const journal = await again(test)
      assert.deepEqual(await waiting(journal), [other.id, dead.id, later.id])
      const record = await journal.delivery(dead.id)
      assert.deepEqual([record?.seq, record?.partsSent, record?.attempts], [revived?.seq, 2, 0])
      assert.deepEqual(await journal.deadDeliveries({ limit: 10 }), [])
    },
  )

  within(
    'lists dead deliveries in order, by channel, session and condition, in pages',
    async ({ journal }) => {
      const made = ['a', 'b', 'a', 'c', 'b', 'a'].map((sessionKey, n) =>
        sampleDelivery(`${n}`, { sessionKey, channel: n % 2 === 0 ? 'even' : 'odd' }),
      )
      for (const delivery of made) await die(journal, delivery)
      const list = async (options: object, limit = 10) => {
        const found = await journal.deadDeliveries({ ...options, limit })
        return { texts: found.map(({ content }) => content.text), last: found.at(-1)?.seq }
      }
      assert.deepEqual((await list({})).texts, ['0', '1', '2', '3', '4', '5'])
      const first = await list({}, 2)
      assert.deepEqual(first.texts, ['0', '1'])
      assert.deepEqual((await list({ after: first.last }, 2)).texts, ['2', '3'])
      assert.deepEqual((await list({ sessionKey: 'a' })).texts, ['0', '2', '5'])
      assert.deepEqual((await list({ channel: 'odd' })).texts, ['1', '3', '5'])
      assert.deepEqual((await list({ channel: 'odd', sessionKey: 'b' })).texts, ['1'])
      assert.deepEqual((await list({ accept: (key: string) => key !== 'a' })).texts, ['1', '3', '4'])
    },
  )

  within('pages through more deliveries than it looks at in one go', async ({ journal }) => {
    const many = Array.from({ length: 901 }, (_, n) =>
      sampleDelivery(`${n}`, { sessionKey: n === 900 ? 'last' : KEY }),
    )
    await journal.enqueue(many)
    assert.deepEqual(
      await waiting(journal),
      many.map(({ id }) => id),
    )
    await Promise.all(many.map(({ id }) => journal.undeliverable(id, sampleError, 1, [])))
    const [last] = await journal.deadDeliveries({ sessionKey: 'last', limit: 1 })
    assert.equal(last?.content.text, '900')
    assert.equal((await journal.deadDeliveryStats()).count, 901)
  })

  within('counts dead deliveries, and tells when the first of them died', async ({ journal, clock }) => {
    assert.deepEqual(await journal.deadDeliveryStats(), { count: 0, oldestAt: null })
    const start = clock.now
    const [first, second] = [sampleDelivery('one'), sampleDelivery('two')]
    await die(journal, first)
    clock.now += 1_000
    await die(journal, second)
    assert.deepEqual(await journal.deadDeliveryStats(), { count: 2, oldestAt: start })
    assert.equal(await journal.discardDelivery(first.id), true)
    assert.equal(await journal.discardDelivery(first.id), false)
    assert.equal(await journal.discardDelivery('dlv_nothing'), false)
    assert.deepEqual(await journal.deadDeliveryStats(), { count: 1, oldestAt: start + 1_000 })
    await journal.reviveDelivery(second.id)
    assert.equal(await journal.discardDelivery(second.id), false)
    assert.deepEqual(await journal.deadDeliveryStats(), { count: 0, oldestAt: null })
  })

  within('deletes the dead deliveries of a session with it, and no other', async (test) => {
    await test.journal.saveSession(sampleSession(KEY), [])
    const [dead, elsewhere, alive] = ['dead', 'elsewhere', 'alive'].map((text) =>
      sampleDelivery(text, text === 'elsewhere' ? { sessionKey: 'chat:2:main' } : {}),
    )
    await die(test.journal, dead!)
    await die(test.journal, elsewhere!)
    await test.journal.enqueue([alive!])
    await test.journal.deleteSession(KEY, [])
    const journal = await again(test)
    assert.equal(await journal.deadDelivery(dead!.id), null)
    assert.notEqual(await journal.deadDelivery(elsewhere!.id), null)
    assert.deepEqual(await waiting(journal), [alive!.id])
  })

  within('keeps deliveries, alive or dead, whatever their age', async (test) => {
    const [dead, alive] = [sampleDelivery('dead'), sampleDelivery('alive')]
    await die(test.journal, dead)
    await test.journal.enqueue([alive])
    test.clock.now += 1_000_000_000
    await test.harness.maintain(test.journal)
    assert.notEqual(await test.journal.deadDelivery(dead.id), null)
    assert.deepEqual(await waiting(test.journal), [alive.id])
  })

  within('keeps what is sent with a key once, within the window', async (test) => {
    const [first, second, third] = ['a', 'b', 'c'].map((text) => sampleDelivery(text, { sessionKey: KEY }))
    const once = { key: 'k', digest: 'd1' }
    assert.equal(await test.journal.sentBefore(KEY, 'k'), null)
    assert.equal(await test.journal.enqueueOnce(first!, once), null)
    await test.journal.delivered(first!.id)
    await test.journal.append(sampleAppend(KEY, 'an event', { idempotencyKey: 'k' }))
    await test.journal.deleteSession(KEY, [])
    const journal = await again(test)
    const before = { id: first!.id, digest: 'd1' }
    assert.deepEqual(await journal.enqueueOnce(second!, { key: 'k', digest: 'd2' }), before)
    assert.deepEqual(await journal.sentBefore(KEY, 'k'), before)
    assert.equal(await journal.sentBefore('chat:2:main', 'k'), null)
    assert.deepEqual(await waiting(journal), [])
    test.clock.now += 1_000_000_000
    assert.equal(await journal.sentBefore(KEY, 'k'), null)
    assert.equal(await journal.enqueueOnce(third!, once), null)
    assert.deepEqual(await waiting(journal), [third!.id])
  })
}
