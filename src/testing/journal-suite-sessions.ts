import assert from 'node:assert/strict'
import type { Journal, StoredEntry } from '../journal/journal.js'
import type { SessionQuery } from '../journal/session-list.js'
import { completeEvents, sampleAppend, sampleEntry, sampleMessage, sampleSession } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'

const texts = (entries: readonly { payload: string }[]) =>
  entries.map(({ payload }) => (JSON.parse(payload) as { content: string }).content)

const byNumber = (a: string, b: string) => Number(b.split(':')[1]) - Number(a.split(':')[1])

/** The keys of all pages; `sparse` ones may be short though others follow. */
async function allPages(journal: Journal, query: SessionQuery, { sparse = false } = {}): Promise<string[]> {
  const keys: string[] = []
  for (let before = query.before; ; ) {
    const { sessions, next } = await journal.sessions({ ...query, before })
    assert(sessions.length <= query.limit)
    assert(sparse || next === null || sessions.length === query.limit)
    keys.push(...sessions.map(({ key }) => key))
    if (next === null) return keys
    before = next
  }
}

/** Sessions: records, lists, history, reset, deletion. */
export function sessionTests(within: DefineJournalTest): void {
  within('keeps a session record as it was saved, and replaces it', async ({ journal }) => {
    assert.equal(await journal.session(KEY), null)
    const record = sampleSession(KEY, {
      title: 'A',
      agent: 'x',
      metadata: { a: [1, { b: null }] },
      paused: true,
      queueMode: 'steer',
    })
    const entry = sampleEntry('session.created', KEY, '')
    assert.deepEqual(await journal.saveSession(record, [entry]), record)
    assert.deepEqual(await journal.session(KEY), record)
    const plain = { title: null, agent: null, paused: false }
    const changed = { ...record, ...plain, metadata: {}, queueMode: null, updatedAt: 2_000 }
    assert.deepEqual(await journal.saveSession(changed, []), changed)
    assert.deepEqual(await journal.session(KEY), changed)
    assert.deepEqual(await journal.replay(0, journal.head, 10), [{ seq: 1, ...entry }])
  })

  within('lists the keys of the paused sessions', async ({ journal }) => {
    assert.deepEqual(await journal.pausedSessions(), [])
    for (const key of ['a', 'b', 'c'])
      await journal.saveSession(sampleSession(key, { paused: key !== 'b' }), [])
    assert.deepEqual((await journal.pausedSessions()).sort(), ['a', 'c'])
  })

  within('lists sessions by their last event, equal ones by key, in full pages', async ({ journal }) => {
    for (const [n, key] of ['f', 'b', 'é', '\u{1f600}', '\uffee', 'd', 'a'].entries()) {
      await journal.saveSession(sampleSession(key, { updatedAt: n < 5 ? 2_000 : 1_000 }), [])
    }
    const expected = ['b', 'f', 'é', '\uffee', '\u{1f600}', 'a', 'd']
    for (const limit of [1, 2, 3, 7, 100]) assert.deepEqual(await allPages(journal, { limit }), expected)
    await journal.append(sampleAppend('d', 'hello', { at: 3_000 }))
    await journal.append(sampleAppend('a', 'late', { at: 500 }))
    assert.deepEqual(await allPages(journal, { limit: 3 }), ['d', 'b', 'f', 'é', '\uffee', '\u{1f600}', 'a'])
    assert.equal((await journal.session('d'))?.updatedAt, 3_000)
  })

  within('finds sessions by channel, agent and a condition, in full pages', async ({ journal }) => {
    const count = 900
    await Promise.all(
      Array.from({ length: count }, (_, n) => {
        const key = `${n % 2 === 0 ? 'chat' : 'mail'}:${n}`
        return journal.saveSession(sampleSession(key, { agent: n % 3 === 0 ? 'x' : null, updatedAt: n }), [])
      }),
    )
    const accept = (key: string) => Number(key.split(':')[1]) % 100 === 0
    const found = await allPages(journal, { channel: 'chat', agent: 'x', accept, limit: 2 })
    assert.deepEqual(found, ['chat:600', 'chat:300', 'chat:0'])
    assert.equal((await allPages(journal, { channel: 'mail', limit: 100 })).length, 450)
    const nothing = { sessions: [], next: null }
    assert.deepEqual(await journal.sessions({ channel: 'none', limit: 5 }), nothing)
    assert.deepEqual(await journal.sessions({ limit: 0 }), nothing)
    assert.equal((await allPages(journal, { since: 600, limit: 7 })).length, 300)
    assert.deepEqual(await allPages(journal, { agent: 'x', since: 895, limit: 1 }), ['mail:897'])
    const prefixes = ['chat:80', 'chat:8', 'mail:80', 'x']
    const few = await allPages(journal, { prefixes, accept: (key) => key.includes('80'), limit: 2 })
    const expected = ['mail:809', 'chat:808', 'mail:807', 'chat:806', 'mail:805', 'chat:804', 'mail:803']
    assert.deepEqual(
      few,
      [...expected, 'chat:802', 'mail:801', 'chat:800', 'chat:880', 'chat:80'].sort(byNumber),
    )
  })

  within(
    'looks at a bounded number of sessions for one page, and goes on from there',
    async ({ journal }) => {
      for (let round = 0; round < 6; round++) {
        const numbers = Array.from({ length: 1_000 }, (_, n) => round * 1_000 + n)
        const save = (n: number) => journal.saveSession(sampleSession(`chat:${n}`, { updatedAt: n }), [])
        await Promise.all(numbers.map(save))
      }
      const query: SessionQuery = { limit: 3, accept: (key) => key === 'chat:5' }
      const first = await journal.sessions(query)
      assert.deepEqual(first.sessions, [])
      assert.notEqual(first.next, null)
      assert.deepEqual(await allPages(journal, query, { sparse: true }), ['chat:5'])
      const { sessions, next } = await journal.sessions({ ...query, prefixes: ['chat:5'] })
      assert.deepEqual([sessions.length, next === null], [0, false])
      const direct = await journal.sessions({
        ...query,
        prefixes: ['chat:5', 'chat:5'].map((key) => `${key}0`),
      })
      assert.deepEqual(direct, { sessions: [], next: null })
    },
  )

  within('tells the newest messages of a session, oldest first', async ({ journal }) => {
    await journal.saveSession(sampleSession(KEY), [])
    await journal.saveSession(sampleSession('chat:2:main'), [])
    for (let n = 1; n <= 6; n++) {
      const request = sampleAppend(KEY, `q${n}`)
      await Promise.all([journal.append(request), journal.append(sampleAppend('chat:2:main', 'else'))])
      const entries = [sampleMessage(KEY, `a${n}`), sampleEntry('agent.completed', KEY, 'no message')]
      await completeEvents(journal, KEY, [request.event.id], { entries })
    }
    const all = await journal.history(KEY, { limit: 100 })
    assert.deepEqual(texts(all), ['q1', 'a1', 'q2', 'a2', 'q3', 'a3', 'q4', 'a4', 'q5', 'a5', 'q6', 'a6'])
    assert.deepEqual(texts(await journal.history(KEY, { limit: 3 })), ['a5', 'q6', 'a6'])
    const q3 = all[4]!
    assert.deepEqual(texts(await journal.history(KEY, { limit: 2, before: q3.seq })), ['q2', 'a2'])
    // Whatever lies at the position: another session's message, an outcome, nothing.
    for (const before of [q3.seq - 1, q3.seq, q3.seq + 1]) {
      const expected = all.filter(({ seq }) => seq < before).slice(-2)
      assert.deepEqual(await journal.history(KEY, { limit: 2, before }), expected)
    }
    assert.deepEqual(await journal.history(KEY, { limit: 2, before: 10_000 }), all.slice(-2))
    assert.deepEqual(await journal.history(KEY, { limit: 2, before: all[0]!.seq }), [])
    assert.deepEqual(await journal.history(KEY, { limit: 0 }), [])
    for (const after of [0, all[0]!.seq, q3.seq - 1, q3.seq, all[11]!.seq]) {
      const expected = all.filter(({ seq }) => seq > after)
      assert.deepEqual(await journal.history(KEY, { limit: 3, after }), expected.slice(0, 3))
      assert.deepEqual(await journal.history(KEY, { limit: 100, after }), expected)
    }
    const told: StoredEntry[] = []
    for await (const some of journal.messages(KEY)) told.push(...some)
    assert.deepEqual(told, all)
    assert.deepEqual(await journal.history('no:such:session', { limit: 5 }), [])
  })

  within('begins the conversation anew with a reset, whatever is saved after it', async ({ journal }) => {
    const record = sampleSession(KEY)
    await journal.saveSession(record, [])
    const old = journal.append(sampleAppend(KEY, 'old'))
    const entry = sampleEntry('session.updated', KEY, '')
    const reset = journal.saveSession(record, [entry], { reset: true })
    const next = journal.append(sampleAppend(KEY, 'new'))
    await Promise.all([old, reset, next])
    assert.equal((await reset).resetSeq, 1)
    assert.deepEqual(texts(await journal.history(KEY, { limit: 5 })), ['new'])
    const saved = await journal.saveSession({ ...record, title: 'T' }, [])
    assert.deepEqual([saved.title, saved.resetSeq], ['T', 1])
    assert.deepEqual(texts(await journal.history(KEY, { limit: 5 })), ['new'])
    assert.equal((await journal.replay(0, journal.head, 10)).length, 3)
  })

  within('deletes a session with its messages, outcomes and keys, but no waiting event', async (test) => {
    const { journal } = test
    await journal.saveSession(sampleSession(KEY), [])
    const done = sampleAppend(KEY, 'done', { idempotencyKey: 'done' })
    const waiting = sampleAppend(KEY, 'waiting', { idempotencyKey: 'waiting' })
    await journal.append(done)
    await completeEvents(journal, KEY, [done.event.id], { entries: [sampleMessage(KEY, 'answer')] })
    await journal.append(waiting)
    const ended = sampleEntry('session.ended', KEY, 'bye')
    assert.equal(await journal.deleteSession(KEY, [ended]), true)
    assert.equal(await journal.deleteSession(KEY, [ended]), false)
    assert.equal(await journal.session(KEY), null)
    assert.deepEqual(await journal.history(KEY, { limit: 10 }), [])
    assert.deepEqual(await journal.replay(0, journal.head, 10), [{ seq: 4, ...ended }])
    assert.equal(await journal.outcome(done.event.runId), null)
    assert.equal(await journal.findDuplicate(KEY, 'done'), null)
    assert.equal((await journal.findDuplicate(KEY, 'waiting'))?.eventId, waiting.event.id)
    assert.deepEqual(await journal.pending(), [{ event: { ...waiting.event, seq: 3 }, crashes: 0 }])
    assert.equal(journal.holds(0), true)
  })

  within('begins a session of the same key without what its predecessor left', async ({ journal }) => {
    await journal.saveSession(sampleSession(KEY), [])
    const waiting = sampleAppend(KEY, 'before')
    await journal.append(waiting)
    await journal.deleteSession(KEY, [])
    await completeEvents(journal, KEY, [waiting.event.id], { entries: [sampleMessage(KEY, 'orphan')] })
    assert.deepEqual(await journal.history(KEY, { limit: 10 }), [])
    await journal.saveSession(sampleSession(KEY), [])
    await journal.append(sampleAppend(KEY, 'after'))
    assert.deepEqual(texts(await journal.history(KEY, { limit: 10 })), ['after'])
    assert.equal((await journal.outcome(waiting.event.runId))?.status, 'completed')
  })

  within('keeps sessions and their history when it is opened again', async (test) => {
    if (!test.harness.durable) return
    const settings = { metadata: { a: 1 }, paused: true, queueMode: 'collect' } as const
    await test.journal.saveSession(sampleSession(KEY, settings), [])
    await test.journal.append(sampleAppend(KEY, 'one'))
    const journal = await test.reopen()
    await journal.append(sampleAppend(KEY, 'two'))
    assert.deepEqual(texts(await journal.history(KEY, { limit: 10 })), ['one', 'two'])
    assert.deepEqual(await journal.pausedSessions(), [KEY])
    const session = await journal.session(KEY)
    assert.deepEqual([session?.metadata, session?.queueMode], [{ a: 1 }, 'collect'])
  })
}
