import assert from 'node:assert/strict'
import type { AppendRequest, Journal } from '../journal/journal.js'
import { completeEvents, sampleAppend, sampleError, sampleSession } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'

async function fail(journal: Journal, sessionKey: string, text: string): Promise<AppendRequest['event']> {
  const request = sampleAppend(sessionKey, text)
  await journal.append(request)
  const outcome = { status: 'failed', error: sampleError, attempts: 3 } as const
  assert.equal(await completeEvents(journal, sessionKey, [request.event.id], outcome), true)
  return request.event
}

/** Events whose handling failed for good. */
export function deadLetterTests(within: DefineJournalTest): void {
  within('keeps a failed event whole as a dead letter', async ({ journal, clock }) => {
    const event = await fail(journal, KEY, 'one')
    const end = { error: sampleError, attempts: 3, diedAt: clock.now, mergedInto: null }
    const letter = { event: { ...event, seq: 1 }, ...end }
    assert.deepEqual(await journal.deadLetter(event.id), letter)
    assert.deepEqual(await journal.deadLetters({ limit: 10 }), [letter])
    assert.deepEqual(await journal.pending(), [])
    assert.equal(await journal.deadLetter('evt_nothing'), null)
    assert.equal(await journal.deadLetter('nonsense'), null)
  })

  within('says something of a failure that came without a reason', async ({ journal }) => {
    const request = sampleAppend(KEY, 'one')
    await journal.append(request)
    await completeEvents(journal, KEY, [request.event.id], { status: 'failed', error: null })
    assert.equal((await journal.deadLetter(request.event.id))?.error.code, 'INTERNAL_ERROR')
  })

  within('lists dead letters in order, by session and condition, in pages', async ({ journal }) => {
    const keys = ['a', 'b', 'a', 'c', 'b', 'a']
    for (const [n, key] of keys.entries()) await fail(journal, key, `${n}`)
    const list = async (options: Omit<Parameters<Journal['deadLetters']>[0], 'limit'>, limit = 10) =>
      (await journal.deadLetters({ ...options, limit })).map(({ event }) => event.seq)
    assert.deepEqual(await list({}), [1, 2, 3, 4, 5, 6])
    assert.deepEqual(await list({}, 2), [1, 2])
    assert.deepEqual(await list({ after: 2 }, 2), [3, 4])
    assert.deepEqual(await list({ sessionKey: 'a' }), [1, 3, 6])
    assert.deepEqual(await list({ sessionKey: 'a', after: 1 }, 1), [3])
    assert.deepEqual(await list({ accept: (key) => key !== 'a' }), [2, 4, 5])
    assert.deepEqual(await list({ after: 6 }), [])
  })

  within('makes a dead letter wait again, in its old place, to be handled anew', async ({ journal }) => {
    const event = await fail(journal, KEY, 'one')
    const next = sampleAppend(KEY, 'two')
    await journal.append(next)
    assert.equal(await journal.revive(event.id), true)
    assert.equal(await journal.revive(event.id), false)
    assert.deepEqual(
      (await journal.pending()).map(({ event }) => event.id),
      [event.id, next.event.id],
    )
    const outcome = await journal.outcome(event.runId)
    assert.deepEqual([outcome?.status, outcome?.error], ['pending', null])
    assert.deepEqual(await journal.deadLetters({ limit: 10 }), [])
    assert.equal(await completeEvents(journal, KEY, [event.id]), true)
    assert.equal((await journal.outcome(event.runId))?.status, 'completed')
  })

  within('keeps each event of a merged run as a dead letter, to be handled by itself', async (test) => {
    const requests = [1, 2, 3].map((n) => sampleAppend(KEY, `${n}`))
    for (const request of requests) await test.journal.append(request)
    const [lead, revived, merged] = requests.map(({ event }) => event)
    const ids = requests.map(({ event }) => event.id)
    const mergedInto = lead!.runId
    await completeEvents(test.journal, KEY, ids, { status: 'failed', error: sampleError, mergedInto })
    const journal = test.harness.durable ? await test.reopen() : test.journal
    const list = async () => {
      const letters = await journal.deadLetters({ limit: 10 })
      return letters.map((letter) => [
        letter.event.id,
        letter.mergedInto,
        letter.error.code,
        letter.event.payload,
      ])
    }
    const content = (text: string) => ({ content: text })
    const [first, second, third] = [
      [lead!.id, null, sampleError.code, content('1')],
      [revived!.id, mergedInto, sampleError.code, content('2')],
      [merged!.id, mergedInto, sampleError.code, content('3')],
    ]
    assert.deepEqual(await list(), [first, second, third])
    assert.equal((await journal.deadLetter(merged!.id))?.mergedInto, mergedInto)
    assert.equal(await journal.revive(revived!.id), true)
    assert.deepEqual(await list(), [first, third])
    assert.equal((await journal.outcome(revived!.runId))?.mergedInto, null)
    assert.equal(await completeEvents(journal, KEY, [revived!.id]), true)
    const alone = await journal.outcome(revived!.runId)
    assert.deepEqual([alone?.status, alone?.mergedInto], ['completed', null])
    assert.equal(await journal.discard(merged!.id), true)
    assert.equal((await journal.outcome(merged!.runId))?.mergedInto, mergedInto)
  })

  within('counts dead letters, and tells when the first of them died', async ({ journal, clock }) => {
    assert.deepEqual(await journal.deadLetterStats(), { count: 0, oldestAt: null })
    const waiting = sampleAppend(KEY, 'accepted first, dies last')
    await journal.append(waiting)
    const start = clock.now
    const first = await fail(journal, KEY, 'one')
    clock.now += 1_000
    const second = await fail(journal, 'chat:2:main', 'two')
    clock.now += 1_000
    const failed = { status: 'failed', error: sampleError } as const
    await completeEvents(journal, KEY, [waiting.event.id], failed)
    assert.deepEqual(await journal.deadLetterStats(), { count: 3, oldestAt: start })
    await journal.discard(first.id)
    assert.deepEqual(await journal.deadLetterStats(), { count: 2, oldestAt: start + 1_000 })
    await journal.revive(second.id)
    assert.deepEqual(await journal.deadLetterStats(), { count: 1, oldestAt: start + 2_000 })
    clock.now += 1_000
    await completeEvents(journal, 'chat:2:main', [second.id], failed)
    assert.deepEqual(await journal.deadLetterStats(), { count: 2, oldestAt: start + 2_000 })
  })

  within('forgets a dead letter on request, not that it failed', async ({ journal }) => {
    const event = await fail(journal, KEY, 'one')
    assert.equal(await journal.discard(event.id), true)
    assert.equal(await journal.discard(event.id), false)
    assert.equal(await journal.revive(event.id), false)
    assert.equal(await journal.deadLetter(event.id), null)
    assert.deepEqual(await journal.pending(), [])
    assert.equal((await journal.outcome(event.runId))?.status, 'failed')
  })

  within('revives and discards nothing but dead letters', async ({ journal }) => {
    const { event, entries } = sampleAppend(KEY, 'waiting')
    await journal.append({ event, entries })
    for (const id of [event.id, 'evt_nothing', 'nonsense']) {
      assert.equal(await journal.revive(id), false)
      assert.equal(await journal.discard(id), false)
    }
    assert.equal((await journal.pending()).length, 1)
  })

  within('deletes the dead letters of a session with it', async ({ journal }) => {
    await journal.saveSession(sampleSession(KEY), [])
    const event = await fail(journal, KEY, 'one')
    const other = await fail(journal, 'chat:2:main', 'two')
    await journal.deleteSession(KEY, [])
    assert.equal(await journal.deadLetter(event.id), null)
    assert.equal((await journal.deadLetter(other.id))?.event.seq, 2)
  })
}
