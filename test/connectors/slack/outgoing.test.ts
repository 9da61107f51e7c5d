import t from 'tap'
import { connected, DM } from './helpers.js'

const signal = new AbortController().signal

t.test('an answer goes to its thread, as Markdown that calls nobody together', async (t) => {
  const { server, host, connector } = await connected(t)
  const sent = await host.send({ peer: 'C1', thread: '1.2' }, '**Hi** <!channel> & <!DOCTYPE>')
  t.match(server.posts, [
    { channel: 'C1', thread: '1.2', ts: sent.messageId!, text: '**Hi** <\u200b!channel> & <!DOCTYPE>' },
  ])
  t.match(server.posts[0]!.fields, { unfurl_links: 'false', unfurl_media: 'false' })
  t.equal(connector.capabilities.lengthOf!('<!here>'), 8)
})

t.test('plain text is shown as it is', async (t) => {
  const { server, host, connector } = await connected(t, { format: 'plain' })
  await host.send(DM, 'a <b> & *c*')
  t.equal(server.posts[0]!.fields.text, 'a &lt;b&gt; &amp; *c*')
  t.equal(connector.capabilities.lengthOf!('&'), 5)
})

t.test('a preview is edited, and the answer takes its place', async (t) => {
  const { server, host, connector } = await connected(t)
  await connector.preview!(DM, 'run_1', 'Hel', signal)
  await connector.preview!(DM, 'run_1', 'Hello wo', signal)
  const sent = await host.send(DM, 'Hello world', { runId: 'run_1' })
  await host.send(DM, 'more', { runId: 'run_1', part: 2, parts: 2 })
  t.strictSame(
    server.posts.map(({ text, edits }) => [text, edits]),
    [
      ['Hello world', ['Hel', 'Hello wo']],
      ['more', []],
    ],
  )
  t.equal(sent.messageId, server.posts[0]!.ts)
})

t.test('a preview that was deleted does not hold up the answer', async (t) => {
  const { server, host, connector } = await connected(t)
  await connector.preview!(DM, 'run_1', 'Hel', signal)
  server.posts[0]!.text = null
  await host.send(DM, 'Hello', { runId: 'run_1' })
  t.equal(server.posts[1]!.text, 'Hello')
})

t.test('a preview stays for the next attempt when one fails', async (t) => {
  const { server, host, connector } = await connected(t)
  await connector.preview!(DM, 'run_1', 'Hel', signal)
  server.fail('chat.update', { error: 'internal_error' })
  await t.rejects(host.send(DM, 'Hello', { runId: 'run_1' }), { code: 'UNAVAILABLE', retryable: true })
  await host.send(DM, 'Hello', { runId: 'run_1' })
  t.strictSame(
    server.posts.map(({ text }) => text),
    ['Hello'],
  )
})

t.test('a preview without an answer is removed', async (t) => {
  const { server, connector } = await connected(t)
  await connector.preview!(DM, 'run_1', 'Hel', signal)
  await connector.discard!(DM, 'run_1', signal)
  await connector.discard!(DM, 'run_1', signal)
  await connector.preview!(DM, 'run_2', 'Hel', signal)
  server.posts[1]!.text = null
  await connector.discard!(DM, 'run_2', signal)
  t.strictSame(
    server.posts.map(({ text }) => text),
    [null, null],
  )
})

t.test('each refusal has its code', async (t) => {
  const { server, host } = await connected(t)
  await t.rejects(host.send({ peer: 'C404', thread: null }, 'x'), { code: 'NOT_FOUND', retryable: false })
  const refusals = {
    not_in_channel: 'FORBIDDEN',
    is_archived: 'FORBIDDEN',
    restricted_action: 'FORBIDDEN',
    token_revoked: 'UNAUTHORIZED',
    msg_too_long: 'INVALID_REQUEST',
    ratelimited: 'RATE_LIMITED',
    service_unavailable: 'UNAVAILABLE',
  }
  for (const [error, code] of Object.entries(refusals)) {
    server.fail('chat.postMessage', { error })
    await t.rejects(host.send(DM, 'x'), { code, message: `Slack refused: sending a message (${error}).` })
  }
  server.fail('chat.postMessage', { error: 'missing_scope', needed: 'chat:write' })
  await t.rejects(host.send(DM, 'x'), { code: 'FORBIDDEN', message: /missing_scope: it needs chat:write/ })
  t.strictSame(server.posts, [])
})

t.test('a rate limit says how long to wait', async (t) => {
  const { server, host } = await connected(t)
  server.fail(
    'chat.postMessage',
    { status: 429, retryAfter: 7 },
    { status: 503 },
    { status: 200, body: '<html>' },
  )
  await t.rejects(host.send(DM, 'x'), { code: 'RATE_LIMITED', retryAfterMs: 7_000, retryable: true })
  await t.rejects(host.send(DM, 'x'), { code: 'UNAVAILABLE', message: /HTTP status 503/ })
  await t.rejects(host.send(DM, 'x'), { code: 'UNAVAILABLE', message: /not Slack’s/ })
  t.equal(server.calls.filter(({ method }) => method === 'chat.postMessage').length, 3)
})

t.test('a lost answer is a retryable error, and the text may be there', async (t) => {
  const { server, host } = await connected(t)
  server.fail('chat.postMessage', { hangUp: true })
  await t.rejects(host.send(DM, 'x'), { code: 'UNAVAILABLE', retryable: true })
  t.equal(server.posts.length, 1)
})

t.test('a call that is stopped ends at once and may be tried again', async (t) => {
  const { server, connector } = await connected(t)
  await server.kill()
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
  await server.start()
})
