import t from 'tap'
import { startApp } from '../../helpers/app.js'
import { startScripted } from '../../helpers/scripted-agent.js'
import type { Frame, TestSocket } from '../../helpers/socket.js'

const KEY = 'web:1:main'

const keysOf = (sessions: { key: string }[]) => sessions.map(({ key }) => key)

/** Every page of a list, one after the other. */
async function pages(
  socket: TestSocket,
  method: string,
  params: object,
  key?: string,
): Promise<Frame['result'][]> {
  const results: Frame['result'][] = []
  let cursor: string | undefined
  do {
    const result = await socket.call(method, { ...params, cursor }, key)
    results.push(result)
    cursor = result.nextCursor ?? undefined
  } while (cursor !== undefined)
  return results
}

for (const type of ['memory', 'sqlite'] as const) {
  t.test(`sessions are listed page by page, most recently used first (${type})`, async (t) => {
    const { connect } = await startApp(t, { journal: { type } })
    const socket = await connect()
    const keys = Array.from({ length: 7 }, (_, i) => `${i % 2 === 0 ? 'web' : 'telegram'}:${i}`)
    for (const key of keys) await socket.call('sessions.create', {}, key)
    await socket.call('sessions.send', { content: 'hi', wait: true }, keys[2])
    const all = await socket.call('sessions.list')
    t.equal(all.sessions[0].key, keys[2], 'the one that was just used')
    t.same(keysOf(all.sessions).sort(), [...keys].sort())
    t.equal(all.nextCursor, null)
    for (const limit of [1, 2, 3, 7, 8]) {
      const found = await pages(socket, 'sessions.list', { limit })
      t.same(
        found.flatMap(({ sessions }) => keysOf(sessions)),
        keysOf(all.sessions),
        `pages of ${limit}`,
      )
      t.ok(found.every(({ sessions }) => sessions.length <= limit))
    }
    const telegram = await pages(socket, 'sessions.list', { limit: 2, channel: 'telegram' })
    t.same(telegram.flatMap(({ sessions }) => keysOf(sessions)).sort(), [
      'telegram:1',
      'telegram:3',
      'telegram:5',
    ])
    t.same((await socket.call('sessions.list', { channel: 'none' })).sessions, [])
  })
}

t.test('sessions are filtered by agent, and by whether their lane has work', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  await socket.call('sessions.create', { agent: 'echo' }, 'web:idle')
  for (const key of ['web:1', 'web:2', 'irc:3']) await socket.call('sessions.send', { content: 'x' }, key)
  await agent.begun(3)
  const list = async (params: object) =>
    (await pages(socket, 'sessions.list', { limit: 1, ...params })).flatMap(({ sessions }) =>
      keysOf(sessions),
    )
  t.same((await list({ active: true })).sort(), ['irc:3', 'web:1', 'web:2'])
  t.same(await list({ active: false }), ['web:idle'])
  t.same(await list({ agent: 'echo' }), ['web:idle'])
  t.same((await list({ active: true, channel: 'web' })).sort(), ['web:1', 'web:2'])
  t.same(await list({ active: true, agent: 'echo' }), [])
  for (const run of agent.runs) run.reply()
  await socket.all(3, ({ event }) => event === 'agent.completed')
  t.same(await list({ active: true }), [])
  t.equal((await list({ active: false })).length, 4)
})

t.test('a session is made, read and announced', async (t) => {
  const { connect, app } = await startApp(t)
  const socket = await connect()
  const settings = { title: 'Chat', agent: 'echo', metadata: { a: 1 } }
  const { session } = await socket.call('sessions.create', settings, 'telegram:1:main')
  t.match(session, { key: 'telegram:1:main', channel: 'telegram', active: false, ...settings })
  t.equal(session.createdAt, session.updatedAt)
  t.same((await socket.call('sessions.get', {}, 'telegram:1:main')).session, session)
  t.same((await socket.event('session.created')).payload.session, session)
  t.match(await socket.refused('sessions.create', {}, 'telegram:1:main'), {
    code: 'CONFLICT',
    details: { sessionKey: 'telegram:1:main' },
  })
  t.match(await socket.refused('sessions.create', { agent: 'nobody' }, 'web:2'), {
    code: 'NOT_FOUND',
    message: /'nobody'/,
  })
  t.equal((await socket.call('sessions.create', {}, 'plain')).session.channel, 'plain')
  const other = await connect()
  t.same(keysOf(other.helloOk!.snapshot.sessions).sort(), ['plain', 'telegram:1:main'])
  t.equal(app.lanes.dispatcher.size, 0)
})

t.test('a first message makes its session, once', async (t) => {
  const { connect } = await startApp(t)
  const [a, b] = [await connect(), await connect()]
  await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      (i % 2 ? a : b).call('sessions.send', { content: `m${i}`, wait: true }, KEY),
    ),
  )
  t.equal(a.events().filter(({ event }) => event === 'session.created').length, 1)
  t.match((await a.event('session.created')).payload.session, {
    key: KEY,
    active: true,
    agent: null,
    title: null,
  })
  t.match(await a.refused('sessions.create', {}, KEY), { code: 'CONFLICT' })
})

t.test('made twice at once, or at once with its first message, a session is made once', async (t) => {
  const { connect } = await startApp(t, { journal: { type: 'sqlite' } })
  const [a, b] = [await connect(), await connect()]
  const created = () => a.events().filter(({ event }) => event === 'session.created').length
  const both = await Promise.all([
    a.request('sessions.create', { title: 'a' }, 'web:twice'),
    b.request('sessions.create', { title: 'b' }, 'web:twice'),
  ])
  t.same(both.map(({ error }) => error?.code ?? 'OK').sort(), ['CONFLICT', 'OK'])
  const title = both.find(({ error }) => error === null)!.result.session.title
  t.equal((await a.call('sessions.get', {}, 'web:twice')).session.title, title)
  t.equal(created(), 1)

  const [sent, made] = await Promise.all([
    a.request('sessions.send', { content: 'x', wait: true }, 'web:send'),
    a.request('sessions.create', { title: 'late' }, 'web:send'),
  ])
  t.equal(sent.error, null)
  t.equal(made.error.code, 'CONFLICT', 'the message came first')
  const [first, then] = await Promise.all([
    a.request('sessions.create', { title: 'early' }, 'web:create'),
    a.request('sessions.send', { content: 'x', wait: true }, 'web:create'),
  ])
  t.same([first.error, then.error], [null, null])
  t.equal((await a.call('sessions.get', {}, 'web:create')).session.title, 'early')
  t.equal(created(), 3)
})

t.test('a patch changes what it names, merges metadata and removes by null', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  await socket.call('sessions.create', { title: 'Old', metadata: { keep: 1, change: 'a', drop: true } }, KEY)
  const patch = async (params: object) => (await socket.call('sessions.patch', params, KEY)).session
  t.match(await patch({ metadata: { change: { deep: 1 }, drop: null, add: [1] } }), {
    title: 'Old',
    metadata: { keep: 1, change: { deep: 1 }, add: [1] },
  })
  t.match(await patch({ title: 'New', agent: 'echo' }), {
    title: 'New',
    agent: 'echo',
    metadata: { keep: 1 },
  })
  const last = await patch({ title: null, agent: null })
  t.match(last, { title: null, agent: null })
  t.notOk('drop' in last.metadata)
  t.same((await socket.call('sessions.get', {}, KEY)).session, last)
  const updates = await socket.all(3, ({ event }) => event === 'session.updated')
  t.same(updates[2]!.payload, { session: last })
  t.match(await socket.refused('sessions.patch', {}, 'web:none'), {
    code: 'NOT_FOUND',
    details: { sessionKey: 'web:none' },
  })
  t.match(await socket.refused('sessions.patch', { agent: 'nobody' }, KEY), {
    code: 'NOT_FOUND',
    message: /'nobody'/,
  })
})

t.test('patches at once do not overwrite each other', async (t) => {
  const { connect } = await startApp(t, { journal: { type: 'sqlite' } })
  const [a, b] = [await connect(), await connect()]
  await a.call('sessions.create', {}, KEY)
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      (i % 2 ? a : b).call('sessions.patch', { metadata: { [`k${i}`]: i } }, KEY),
    ),
  )
  const { session } = await a.call('sessions.get', {}, KEY)
  t.equal(Object.keys(session.metadata).length, 20)
})

t.test('the history is paged back in time, and a reset starts it anew', async (t) => {
  const { connect } = await startApp(t, { journal: { type: 'sqlite' } })
  const socket = await connect()
  for (let i = 1; i <= 5; i++) await socket.call('sessions.send', { content: `m${i}`, wait: true }, KEY)
  const texts = (result: Frame['result']) => result.messages.map((m: Frame) => `${m.role[0]}:${m.content}`)
  const all = await socket.call('sessions.history', {}, KEY)
  const expected = [1, 2, 3, 4, 5].flatMap((i) => [`u:m${i}`, `a:m${i}`])
  t.same(texts(all), expected, 'oldest first')
  t.equal(all.nextCursor, null)
  for (const limit of [1, 3, 10, 11]) {
    const found = await pages(socket, 'sessions.history', { limit }, KEY)
    t.same([...found].reverse().flatMap(texts), expected, `pages of ${limit}`)
  }
  for (const limit of [1, 3, 10, 11]) {
    const found = await pages(socket, 'sessions.history', { limit, order: 'asc' }, KEY)
    t.same(found.flatMap(texts), expected, `pages of ${limit} that go forth`)
  }
  const cursor = String(all.messages[4].seq)
  const forth = await socket.call('sessions.history', { cursor, limit: 2, order: 'asc' }, KEY)
  t.same(texts(forth), expected.slice(5, 7), 'what comes after a message')
  const back = await socket.call('sessions.history', { cursor, limit: 2 }, KEY)
  t.same(texts(back), expected.slice(2, 4), 'what comes before it')
  t.match(all.messages[0], { messageId: /^msg_/, eventId: /^evt_/, runId: /^run_/, seq: Number, at: Number })

  const { session } = await socket.call('sessions.reset', {}, KEY)
  t.same((await socket.event('session.updated')).payload, { session, reset: true })
  t.same((await socket.call('sessions.history', {}, KEY)).messages, [])
  await socket.call('sessions.send', { content: 'again', wait: true }, KEY)
  t.same(texts(await socket.call('sessions.history', {}, KEY)), ['u:again', 'a:again'])
  for (const method of ['sessions.reset', 'sessions.history', 'sessions.get']) {
    t.match(await socket.refused(method, {}, 'web:none'), { code: 'NOT_FOUND' }, method)
  }
})

t.test('a session is deleted with its messages, but not while its lane has work', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const { runId } = await socket.call('sessions.send', { content: 'x' }, KEY)
  const run = await agent.next()
  t.match(await socket.refused('sessions.delete', {}, KEY), {
    code: 'CONFLICT',
    details: { sessionKey: KEY },
  })
  run.reply()
  await socket.event('agent.completed')
  t.same(await socket.call('sessions.delete', {}, KEY), { deleted: true })
  t.match(await socket.event('session.ended'), { sessionKey: KEY, payload: { reason: 'deleted' } })
  t.match(await socket.refused('sessions.get', {}, KEY), { code: 'NOT_FOUND' })
  t.match(await socket.refused('sessions.delete', {}, KEY), { code: 'NOT_FOUND' })
  t.match(await socket.refused('agent.wait', { runId }), { code: 'NOT_FOUND' })
  t.same((await socket.call('sessions.list')).sessions, [])
  await socket.call('sessions.send', { content: 'new' }, KEY)
  t.equal(socket.events().filter(({ event }) => event === 'session.created').length, 2)
  const { messages } = await socket.call('sessions.history', {}, KEY)
  t.same(
    messages.map(({ content }: Frame) => content),
    ['new'],
  )
})

t.test('a message that comes while its session is deleted makes it anew', async (t) => {
  const { connect, app } = await startApp(t, { journal: { type: 'sqlite' } })
  const socket = await connect()
  await socket.call('sessions.send', { content: 'old', wait: true }, KEY)
  const [deleted, got, patched, sent] = await Promise.all([
    socket.request('sessions.delete', {}, KEY),
    socket.request('sessions.get', {}, KEY),
    socket.request('sessions.patch', { title: 'ghost' }, KEY),
    socket.request('sessions.send', { content: 'new', wait: true }, KEY),
  ])
  t.same(deleted.result, { deleted: true })
  t.equal(got.error, null)
  t.equal(sent.error, null)
  t.ok(patched.error === null || patched.error.code === 'NOT_FOUND', 'it found the new one, or none')
  const { session } = await socket.call('sessions.get', {}, KEY)
  const created = socket.events().filter(({ event }) => event === 'session.created')
  t.equal(created.length, 2)
  t.equal(session.createdAt, created[1]!.payload.session.createdAt)
  t.equal((await socket.call('sessions.history', {}, KEY)).messages.length, 2)
  t.match(await app.journal.session(KEY), { key: KEY })
})

t.test('a session deleted while its lane was paused is not paused when it comes again', async (t) => {
  const { connect, app } = await startApp(t)
  const socket = await connect()
  await socket.call('sessions.create', {}, KEY)
  await socket.call('lanes.pause', {}, KEY)
  await socket.call('sessions.delete', {}, KEY)
  t.equal(app.lanes.dispatcher.size, 0)
  t.match((await socket.call('sessions.send', { content: 'x', wait: true }, KEY)).outcome, {
    status: 'completed',
  })
})

t.test(
  'the agent of a session: its own setting, then channel and key rules in order, then the default',
  async (t) => {
    const agents = Object.fromEntries(['own', 'tg', 'vip', 'first'].map((name) => [name, { type: 'echo' }]))
    const { connect } = await startApp(t, {
      agents,
      defaultAgent: 'echo',
      routing: [
        { channel: 'telegram', sessionKey: '*:vip', agent: 'vip' },
        { channel: 'telegram', agent: 'tg' },
        { sessionKey: 'web:first:*', agent: 'first' },
        { sessionKey: 'web:*', agent: 'echo' },
      ],
    })
    const socket = await connect()
    const answeredBy = async (key: string) =>
      (await socket.call('sessions.send', { content: 'x', wait: true }, key)).outcome.message.agent
    t.equal(await answeredBy('telegram:1:main'), 'tg')
    t.equal(await answeredBy('telegram:1:vip'), 'vip')
    t.equal(await answeredBy('web:first:a'), 'first')
    t.equal(await answeredBy('web:second:a'), 'echo')
    t.equal(await answeredBy('irc:1'), 'echo')
    await socket.call('sessions.patch', { agent: 'own' }, 'telegram:1:vip')
    t.equal(await answeredBy('telegram:1:vip'), 'own')
    await socket.call('sessions.patch', { agent: null }, 'telegram:1:vip')
    t.equal(await answeredBy('telegram:1:vip'), 'vip')
  },
)

t.test(
  'a message that follows a change without waiting for its answer is handled as that says',
  async (t) => {
    const { connect } = await startApp(t, {
      agents: { other: { type: 'echo' } },
      journal: { type: 'sqlite' },
    })
    const socket = await connect()
    await socket.call('sessions.create', {}, KEY)
    for (const agent of ['other', 'echo', 'other']) {
      const [, { outcome }] = await Promise.all([
        socket.call('sessions.patch', { agent }, KEY),
        socket.call('sessions.send', { content: 'x', wait: true }, KEY),
      ])
      t.equal(outcome.message.agent, agent)
    }
  },
)

t.test('more sessions than are kept in memory are served all the same', async (t) => {
  const { connect } = await startApp(t, { sessions: { cacheSize: 2 } })
  const socket = await connect()
  for (let round = 1; round <= 2; round++) {
    for (let i = 0; i < 5; i++) await socket.call('sessions.send', { content: 'x', wait: true }, `web:${i}`)
  }
  t.equal((await socket.call('sessions.list')).sessions.length, 5)
  t.equal(socket.events().filter(({ event }) => event === 'session.created').length, 5)
  t.equal((await socket.call('sessions.history', {}, 'web:0')).messages.length, 4)
})

for (const type of ['memory', 'sqlite'] as const) {
  t.test(`messages are found by their words, by those who may see them (${type})`, async (t) => {
    const tokens = [
      { name: 'all', token: 'token-of-all-0123456789', role: 'admin' as const },
      { name: 'some', token: 'token-of-some-0123456789', role: 'viewer' as const, sessions: ['irc:*'] },
    ]
    const { connect } = await startApp(t, { journal: { type }, auth: { enabled: true, tokens } })
    const all = await connect({ auth: { token: tokens[0]!.token } })
    const some = await connect({ auth: { token: tokens[1]!.token } })
    for (const key of ['web:1', 'irc:1', 'irc:2']) {
      await all.call('sessions.send', { content: `Tell ${key} of the Whale`, wait: true }, key)
    }
    const found = async (socket: TestSocket, params: object, key?: string) =>
      (await pages(socket, 'sessions.search', { limit: 2, ...params }, key)).flatMap(({ hits }) =>
        hits.map((hit: Frame) => `${hit.role} ${hit.sessionKey}`),
      )
    const both = (key: string) => [`assistant ${key}`, `user ${key}`]
    t.same(await found(all, { query: 'whale tell' }), ['irc:2', 'irc:1', 'web:1'].flatMap(both))
    t.same(await found(all, { query: '"of the wha*"' }), [])
    t.same(await found(all, { query: '"of the wha"*', channel: 'web' }), both('web:1'))
    t.same(await found(all, { query: 'whale' }, 'irc:1'), both('irc:1'))
    t.same(await found(some, { query: 'whale' }), ['irc:2', 'irc:1'].flatMap(both))
    t.match(await some.refused('sessions.search', { query: 'whale' }, 'web:1'), { code: 'FORBIDDEN' })
    const odd = [
      'whale AND (',
      'NEAR(whale',
      'content: whale*',
      '-whale "',
      '^whale OR tell',
      'whale\u0000',
      "';--whale",
    ]
    for (const query of odd) t.equal((await all.request('sessions.search', { query })).error, null, query)
    const [hit] = (await all.call('sessions.search', { query: 'whale', limit: 1 })).hits
    t.match(hit, { messageId: /^msg_/, at: Number, snippet: /Whale/ })
    const before = await all.call('sessions.history', { cursor: String(hit.seq), limit: 1 }, hit.sessionKey)
    t.equal(before.messages[0].role, 'user', 'from a hit the history goes both ways')
    await all.call('sessions.delete', {}, 'irc:2')
    t.same(await found(some, { query: 'whale' }), both('irc:1'))
  })
}

t.test('a session is exported as JSON lines, page by page', async (t) => {
  const { connect } = await startApp(t, { journal: { type: 'sqlite' } })
  const socket = await connect()
  const big = 'x'.repeat(150_000)
  for (const content of [big, 'small', big]) await socket.call('sessions.send', { content, wait: true }, KEY)
  const found = await pages(socket, 'sessions.export', {}, KEY)
  t.ok(found.length > 2, 'a page is bounded')
  const lines = found
    .map(({ lines }) => lines)
    .join('')
    .trimEnd()
    .split('\n')
    .map((line: string) => JSON.parse(line))
  const { session } = await socket.call('sessions.get', {}, KEY)
  t.same(lines[0], { ...session, type: 'session' })
  const { messages } = await socket.call('sessions.history', {}, KEY)
  t.same(
    lines.slice(1),
    messages.map((message: Frame) => Object.assign({ type: 'message' }, message)),
  )
  t.match(await socket.refused('sessions.export', {}, 'web:none'), { code: 'NOT_FOUND' })
})

t.test('the list tells what changed since a time', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  const { session } = await socket.call('sessions.create', {}, 'web:1')
  const updatedSince = session.updatedAt
  t.same(keysOf((await socket.call('sessions.list', { updatedSince })).sessions), ['web:1'])
  t.same((await socket.call('sessions.list', { updatedSince: updatedSince + 60_000 })).sessions, [])
  const active = { active: true, updatedSince }
  t.same((await socket.call('sessions.list', active)).sessions, [])
})
