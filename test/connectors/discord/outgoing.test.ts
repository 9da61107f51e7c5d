import t from 'tap'
import { connected, DM } from './helpers.js'

const signal = new AbortController().signal

t.test('an answer replies to its message and pings nobody', async (t) => {
  const { server, host } = await connected(t)
  const sent = await host.send(DM, '**Hi** @everyone', { replyTo: '42' })
  t.match(server.posts, [{ id: sent.messageId!, channel: '500', content: '**Hi** @everyone' }])
  t.match(server.posts[0]!.body, {
    allowed_mentions: { parse: [] },
    enforce_nonce: true,
    message_reference: { message_id: '42', fail_if_not_exists: false },
  })
})

t.test('what is sent again with the same key is one message', async (t) => {
  const { server, host } = await connected(t)
  server.fail('POST /channels/messages', { status: 0, hangUp: true })
  await t.rejects(host.send(DM, 'x', { idempotencyKey: 'k' }), { code: 'UNAVAILABLE', retryable: true })
  const sent = await host.send(DM, 'x', { idempotencyKey: 'k' })
  await host.send(DM, 'x', { idempotencyKey: 'other' })
  t.equal(server.posts.length, 2)
  t.equal(sent.messageId, server.posts[0]!.id)
  t.ok(String(server.posts[0]!.body.nonce).length <= 25)
})

t.test('a preview is edited, and the answer takes its place', async (t) => {
  const { server, host, connector } = await connected(t)
  await connector.typing!(DM, signal)
  await connector.preview!(DM, 'run_1', 'Hel', signal)
  await connector.preview!(DM, 'run_1', 'Hello wo', signal)
  const sent = await host.send(DM, 'Hello world', { runId: 'run_1' })
  await host.send(DM, 'more', { runId: 'run_1', part: 2, parts: 2 })
  t.strictSame(server.typing, ['500'])
  t.strictSame(
    server.posts.map(({ content, edits }) => [content, edits]),
    [
      ['Hello world', ['Hel', 'Hello wo']],
      ['more', []],
    ],
  )
  t.equal(sent.messageId, server.posts[0]!.id)
})

t.test('a preview that was deleted, or that gets files, makes way for a message', async (t) => {
  const { server, host, connector } = await connected(t)
  await connector.preview!(DM, 'run_1', 'Hel', signal)
  server.posts[0]!.content = null
  await host.send(DM, 'Hello', { runId: 'run_1' })
  await connector.preview!(DM, 'run_2', 'Her', signal)
  const data = Buffer.from('chart').toString('base64')
  await host.send(DM, 'Here', { runId: 'run_2', attachments: [{ type: 'image/png', name: 'c.png', data }] })
  t.strictSame(
    server.posts.map(({ content, files }) => [content, files]),
    [
      [null, []],
      ['Hello', []],
      [null, []],
      ['Here', [{ name: 'c.png', text: 'chart' }]],
    ],
  )
})

t.test('a preview stays for the next attempt when one fails, and is removed without an answer', async (t) => {
  const { server, host, connector } = await connected(t)
  await connector.preview!(DM, 'run_1', 'Hel', signal)
  server.fail('PATCH /channels/messages', { status: 502 })
  await t.rejects(host.send(DM, 'Hello', { runId: 'run_1' }), {
    code: 'UNAVAILABLE',
    message: /HTTP status 502/,
  })
  await host.send(DM, 'Hello', { runId: 'run_1' })
  await connector.preview!(DM, 'run_2', 'x', signal)
  await connector.discard!(DM, 'run_2', signal)
  await connector.discard!(DM, 'run_2', signal)
  await connector.preview!(DM, 'run_3', 'x', signal)
  server.posts[2]!.content = null
  await connector.discard!(DM, 'run_3', signal)
  t.strictSame(
    server.posts.map(({ content }) => content),
    ['Hello', null, null],
  )
})

t.test('links to attachments follow the text', async (t) => {
  const { server, host } = await connected(t)
  const link = (name: string, length: number) => ({
    type: 'x',
    name,
    url: `https://x.y/${'z'.repeat(length - 12)}`,
  })
  const attachments = [link('a', 1_500), link('b', 1_998), link('c', 3_000)]
  await host.send(DM, 'See', { attachments })
  t.strictSame(
    server.posts.map(({ content }) => content),
    [`See\na: ${attachments[0]!.url}`, attachments[1]!.url],
  )
})

t.test('each refusal has its code', async (t) => {
  const { server, host } = await connected(t)
  await t.rejects(host.send({ peer: '404', thread: null }, 'x'), {
    code: 'NOT_FOUND',
    message: 'Discord refused: sending a message (Unknown Channel, code 10003).',
  })
  await t.rejects(host.send(DM, 'x'.repeat(2_001)), { code: 'INVALID_REQUEST', message: /Must be 2000/ })
  const refusals = [
    [403, 50001, 'FORBIDDEN'],
    [403, 50013, 'FORBIDDEN'],
    [403, 50007, 'FORBIDDEN'],
    [403, 12345, 'FORBIDDEN'],
    [404, 10004, 'NOT_FOUND'],
    [400, 50006, 'INVALID_REQUEST'],
  ] as const
  for (const [status, number, code] of refusals) {
    server.fail('POST /channels/messages', { status, body: { message: 'No', code: number } })
    await t.rejects(host.send(DM, 'x'), { code, retryable: false, message: new RegExp(`No, code ${number}`) })
  }
  server.fail('POST /channels/messages', { status: 403, body: 'a page' }, { status: 403, body: {} })
  for (let i = 0; i < 2; i++) await t.rejects(host.send(DM, 'x'), { code: 'UNAVAILABLE', retryable: true })
  t.strictSame(server.posts, [])
})

t.test('a rate limit says how long to wait, and is not waited for here', async (t) => {
  const { server, host } = await connected(t)
  server.fail('POST /channels/messages', {
    status: 429,
    headers: { 'retry-after': '7', 'x-ratelimit-scope': 'shared' },
    body: { message: 'You are being rate limited.', retry_after: 7, global: false },
  })
  const error = await host.send(DM, 'x').then(
    () => t.fail('it was sent'),
    (error: unknown) => error,
  )
  t.match(error, { code: 'RATE_LIMITED', retryable: true })
  const { retryAfterMs } = error as { retryAfterMs: number }
  t.ok(retryAfterMs >= 7_000 && retryAfterMs < 8_000)
  await host.send(DM, 'y')
  t.equal(server.posts.length, 1)
})

t.test('a call that is stopped ends at once and may be tried again', async (t) => {
  const { connector } = await connected(t)
  const stop = new AbortController()
  stop.abort()
  const part = {
    text: 'x',
    attachments: [],
    idempotencyKey: 'k',
    runId: null,
    replyTo: null,
    part: 1,
    parts: 1,
  }
  await t.rejects(connector.send({ ...part, target: DM }, stop.signal), {
    code: 'UNAVAILABLE',
    retryable: true,
  })
})
