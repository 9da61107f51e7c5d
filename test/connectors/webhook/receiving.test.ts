import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { docsFolder } from '../../../src/docs/generate.js'
import { GatewayError } from '../../../src/protocol/index.js'
import { post, SECRET, serve } from './served.js'

const OPEN = { verify: 'none' }
const json = (value: unknown) => JSON.stringify(value)

t.test('finds the conversation, the sender and the text where the templates say', async (t) => {
  const { host, url } = await serve(t, {
    ...OPEN,
    peer: 'repo/{{payload.repository.full_name}}',
    thread: '{{ payload.issue.number }}',
    sender: '{{payload.sender.login}}',
    text: '{{headers.x-github-event}} {{payload.action}}: {{payload.issue.title}}{{payload.nothing.here}} {{payload.labels.0}} {{payload.issue}}',
    id: '{{headers.x-github-delivery}}',
  })
  const body = {
    action: 'opened',
    repository: { full_name: 'lurk/bot' },
    issue: { number: 7, title: 'It breaks' },
    sender: { login: 'octocat' },
    labels: ['bug'],
  }
  const { status } = await post(url, json(body), { 'x-github-event': 'issues', 'x-github-delivery': 'd-1' })
  t.equal(status, 202)
  t.match(host.received[0], {
    id: 'd-1',
    peer: 'repo/lurk/bot',
    thread: '7',
    sender: { id: 'octocat' },
    text: 'issues opened: It breaks bug {"number":7,"title":"It breaks"}',
  })
})

t.test('reaches nothing but what was sent', async (t) => {
  const { url } = await serve(t, { ...OPEN, peer: '{{payload.constructor.name}}{{payload.length}}' })
  t.equal((await post(url, json({ a: 1 }))).status, 400)
  t.equal((await post(url, '"text"')).status, 400)
})

t.test('takes the text, else the content, else the whole payload', async (t) => {
  const { host, url } = await serve(t, { ...OPEN, peer: 'all' })
  await post(url, json({ text: 'a', content: 'b' }))
  await post(url, json({ content: 'b' }))
  await post(url, json({ text: { no: 'text' } }))
  await post(url, json('just this'))
  await post(url, json(null))
  t.strictSame(
    host.received.map(({ text }) => text),
    ['a', 'b', '{"text":{"no":"text"}}', 'just this', 'null'],
  )
})

t.test('reads JSON, forms, JSON in forms, and text; refuses other types', async (t) => {
  const { host, url } = await serve(t, { ...OPEN, peer: 'all' })
  const send = (type: string, body: string) => post(url, body, { 'content-type': type })
  t.equal((await send('application/cloudevents+json; charset=utf-8', json({ text: 'a' }))).status, 202)
  t.equal((await send('application/x-www-form-urlencoded', 'text=b%20c&x=1')).status, 202)
  t.equal(
    (await send('application/x-www-form-urlencoded', `payload=${encodeURIComponent(json({ text: 'd' }))}`))
      .status,
    202,
  )
  t.equal((await send('text/plain', 'e')).status, 202)
  t.strictSame(
    host.received.map(({ text }) => text),
    ['a', 'b c', 'd', 'e'],
  )
  t.match(await send('image/png', 'x'), { status: 415, answer: { error: { code: 'INVALID_REQUEST' } } })
  t.match(await send('application/json', '{"text":'), {
    status: 400,
    answer: { error: { code: 'INVALID_REQUEST', message: /not JSON/ } },
  })
})

t.test('names the path where the conversation is missing', async (t) => {
  const { host, url } = await serve(t, OPEN)
  t.match(await post(url, json({ text: 'hi' })), {
    status: 400,
    answer: { error: { code: 'INVALID_REQUEST', message: /expected a value at payload\.peer\./ } },
  })
  t.strictSame(host.received, [])
})

t.test('takes attachments from where it is told', async (t) => {
  const { host, url } = await serve(t, { ...OPEN, peer: 'all', attachments: 'payload.files' })
  const files = [{ type: 'text/plain', name: 'a.txt', data: 'aGk=' }]
  t.equal((await post(url, json({ text: 'see', files }))).status, 202)
  t.strictSame(host.received[0]!.attachments, files)
  t.equal((await post(url, json({ text: 'none' }))).status, 202)
  t.match(await post(url, json({ files: [{ name: 'x' }] })), {
    status: 400,
    answer: { error: { message: /payload\.files\.0\.type/ } },
  })
  const data = Buffer.alloc(1_048_577).toString('base64')
  const long = await serve(t, { ...OPEN, peer: 'all', attachments: 'payload.files', maxBodyBytes: 4_000_000 })
  t.match(await post(long.url, json({ files: [{ type: 'a/b', data }] })), {
    status: 400,
    answer: { error: { message: /payload\.files\.0 is longer than 1048576 bytes/ } },
  })
})

t.test('refuses a body that is too long', async (t) => {
  const { url } = await serve(t, { ...OPEN, peer: 'all', maxBodyBytes: 100 })
  t.equal((await post(url, json({ text: 'x'.repeat(50) }))).status, 202)
  t.match(await post(url, json({ text: 'x'.repeat(100) })), {
    status: 413,
    answer: { error: { code: 'INVALID_REQUEST', message: /100 bytes/ } },
  })
})

t.test('keeps a long id short, the same each time', async (t) => {
  const { host, url } = await serve(t, { ...OPEN, peer: 'all', id: '{{payload.id}}' })
  for (const id of ['x'.repeat(64), 'x'.repeat(65), 'x'.repeat(65), '', '']) await post(url, json({ id }))
  const ids = host.received.map(({ id }) => id)
  t.equal(ids[0], 'x'.repeat(64))
  t.equal(ids[1]!.length, 43)
  t.equal(ids[1], ids[2])
  t.equal(new Set(ids).size, 4, 'a request without an id is a message of its own')
})

t.test('answers only once the gateway has the message, with what became of it', async (t) => {
  const { host, url } = await serve(t, { ...OPEN, peer: 'all' })
  const answered = async (answer: typeof host.answer) => {
    host.answer = answer
    return post(url, json({ text: 'hi' }))
  }
  const refused = (reason: 'empty' | 'not_allowed' | 'not_paired' | 'command' | 'refused') =>
    answered(() => ({ accepted: false, reason }))
  t.match(await answered(() => ({ accepted: true, eventId: 'e', runId: 'r', duplicate: true })), {
    status: 202,
    answer: { eventId: 'e', runId: 'r', duplicate: true },
  })
  t.match(await refused('empty'), { status: 400, answer: { error: { code: 'INVALID_REQUEST' } } })
  t.match(await refused('not_allowed'), { status: 403, answer: { error: { code: 'FORBIDDEN' } } })
  t.match(await refused('not_paired'), { status: 403, answer: { error: { code: 'NOT_PAIRED' } } })
  t.match(await refused('refused'), { status: 400, answer: { error: { code: 'INVALID_REQUEST' } } })
  t.match(await refused('command'), { status: 200, answer: { reason: 'command' } })
  const full = await answered(() => {
    throw new GatewayError('UNAVAILABLE', 'Full.', { retryAfterMs: 1_500 })
  })
  t.match(full, {
    status: 503,
    answer: { error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: 1_500 } },
  })
  t.equal(full.retryAfter, '2')
})

t.test('the command that the page shows for a signed request works as written', async (t) => {
  const { host, url } = await serve(t, { secretEnv: 'HOOK' }, { HOOK: SECRET })
  const page = await readFile(join(docsFolder(), 'channels/webhook.md'), 'utf8')
  const script = /```sh\n([^`]*openssl dgst[^`]*)```/.exec(page)![1]!
  const there = script.replace('http://127.0.0.1:18789/channels/hook', url)
  t.not(there, script)
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', there], {
    env: { ...process.env, WEBHOOK_SECRET: SECRET },
  })
  t.match(JSON.parse(stdout), { eventId: /^evt_msg_/, duplicate: false })
  t.match(host.received, [{ peer: 'deploys', text: 'What failed last night?' }])
})
