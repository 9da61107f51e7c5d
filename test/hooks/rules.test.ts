import { once } from 'node:events'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'
import t, { type Test } from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { startWithChannel } from '../helpers/channel-app.js'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { until } from '../helpers/until.js'

const KEY = 'web:1:main'
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

/** A receiver of webhooks that answers with the statuses in turn, then with 204. */
async function receiver(t: Test, ...statuses: number[]) {
  const got: { headers: IncomingHttpHeaders; body: string }[] = []
  const server: Server = createServer(async (request, response) => {
    got.push({ headers: request.headers, body: await text(request) })
    response.writeHead(statuses.shift() ?? 204).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close().closeAllConnections())
  return { got, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

t.test('a rule logs what its condition lets through, in the words of its template', async (t) => {
  const home = t.testdir({
    'hooks.yaml': `
hooks:
  - name: failures
    description: What went wrong.
    on: agent:*
    when:
      name: { in: [agent:failed, agent:aborted] }
      event.sessionKey: { matches: "web:*" }
      code: { not: NOT_LINKED }
      event.payload.content: { contains: bad }
    log: { level: warn, text: "{{agent}} failed {{event.sessionKey}}: {{code}} {{event.payload.nothing}}" }
`,
  })
  const { logger, lines } = captureLog()
  const { connect, agent } = await startScripted(t, { lanes: { retry: { attempts: 1 } } }, { home, logger })
  const socket = await connect()
  const fail = async (content: string, key: string, code: 'NOT_LINKED' | 'FORBIDDEN') => {
    const { runId } = await socket.call('sessions.send', { content }, key)
    ;(await agent.next()).fail(new GatewayError(code, 'no'))
    await socket.call('agent.wait', { runId })
  }
  await fail('very bad', KEY, 'FORBIDDEN')
  await fail('very bad', KEY, 'NOT_LINKED')
  await fail('good', KEY, 'FORBIDDEN')
  await fail('bad', 'other:1:main', 'FORBIDDEN')
  const logged = lines.filter(({ hook, text }) => hook === 'failures' && text !== undefined)
  t.match(logged, [{ level: 40, event: 'agent:failed', text: `scripted failed ${KEY}: FORBIDDEN ` }])
  t.equal(logged.length, 1)
  const { hooks } = await socket.call('hooks.list')
  t.match(hooks, [
    {
      name: 'failures',
      kind: 'rule',
      source: join(home, 'hooks.yaml'),
      description: 'What went wrong.',
      events: ['agent:started', 'agent:completed', 'agent:failed', 'agent:aborted'],
      calls: 8,
    },
  ])
})

t.test('a rule posts to a webhook, signed, and again while that may help', async (t) => {
  const { got, url } = await receiver(t, 503, 200)
  process.env.TEST_HOOK_SECRET = SECRET
  process.env.TEST_HOOK_URL = `${url}/secret-path`
  t.teardown(() => {
    delete process.env.TEST_HOOK_SECRET
    delete process.env.TEST_HOOK_URL
  })
  const home = t.testdir({
    'hooks.yaml': `
hooks:
  - name: posts
    on: message:received
    webhook: { urlEnv: TEST_HOOK_URL, secretEnv: TEST_HOOK_SECRET, text: "{{principal.name}}: {{event.payload.content}}" }
`,
  })
  const { connect } = await startScripted(t, {}, { home, onRun: (run) => run.reply() })
  const socket = await connect()
  await socket.call('sessions.send', { content: 'hello' }, KEY)
  await until(() => got.length === 2)
  const [first, second] = got.map(({ headers, body }) => {
    return {
      id: headers['webhook-id'],
      message: new Webhook(SECRET).verify(body, headers as Record<string, string>),
    }
  })
  t.same(first, second, 'the same message under the same id')
  t.match(first!.message, {
    type: 'message:received',
    hook: 'posts',
    at: Number,
    text: 'anonymous: hello',
    data: { event: { sessionKey: KEY, payload: { content: 'hello' } }, principal: { role: 'admin' } },
  })
  const list = JSON.stringify(await socket.call('hooks.list'))
  t.notMatch(list, /secret-path/)
  t.notMatch(list, new RegExp(SECRET))
})

t.test('a webhook that refuses or is not there fails its hook, and nobody waits for it', async (t) => {
  const { got, url } = await receiver(t, 401)
  const home = t.testdir({
    'hooks.yaml': `
hooks:
  - { name: refused, on: command:reset, webhook: { url: "${url}" } }
  - { name: gone, on: command:reset, webhook: { url: "http://127.0.0.1:1/", attempts: 1 } }
`,
  })
  const { connect } = await startScripted(t, {}, { home })
  const socket = await connect()
  await socket.call('sessions.create', {}, KEY)
  await socket.call('sessions.reset', {}, KEY)
  const failed = async () => (await socket.call('hooks.list')).hooks
  await until(async () => (await failed()).every(({ failures }: { failures: number }) => failures === 1))
  t.match(await failed(), [
    { name: 'refused', lastError: { message: /does not accept the signature/ } },
    { name: 'gone', lastError: { message: /cannot be reached/ } },
  ])
  t.equal(got.length, 1)
})

t.test('a stop is told before everything is closed', async (t) => {
  const { got, url } = await receiver(t)
  const home = t.testdir({
    'hooks.yaml': `hooks: [{ name: stops, on: gateway:stopping, webhook: { url: "${url}" } }]\n`,
  })
  const { app } = await startScripted(t, {}, { home })
  await app.close()
  t.match(
    got.map(({ body }) => JSON.parse(body)),
    [{ type: 'gateway:stopping', data: { restart: false } }],
  )
})

t.test('a rule writes to a session and to a channel, and does not keep itself busy', async (t) => {
  const home = t.testdir({
    'hooks.yaml': `
hooks:
  - name: to-ops
    on: [agent:completed, session:created]
    message: { sessionKey: "ops:all:main", text: "{{name}} {{content}}" }
  - name: to-chat
    on: agent:completed
    message: { channel: chat, peer: "42", text: "answered: {{content}}" }
`,
  })
  const { connect, channel, agent } = await startWithChannel(
    t,
    {},
    { home, onRun: (run) => run.reply(`re: ${run.content}`) },
  )
  const socket = await connect()
  await socket.call('sessions.send', { content: 'hello', wait: true }, KEY)
  await agent.begun(3)
  await channel.took(3)
  t.same(agent.contents.sort(), ['agent:completed re: hello', 'hello', 'session:created '])
  t.match(agent.runs[1]!.event, { source: 'hook', sessionKey: 'ops:all:main', payload: { sender: 'to-ops' } })
  t.ok(channel.texts.includes('answered: re: hello'))
  t.ok(channel.sent.every(({ target }) => target.peer === '42'))
  await socket.call('gateway.ping')
  t.equal(agent.runs.length, 3, 'what comes of its own messages is not for it')
})

t.test('every mistake in hooks.yaml is told with its path and line, and nothing of it applies', async (t) => {
  const home = t.testdir({
    'hooks.yaml': `hooks:
  - name: one
    on: agent:finished
    log: { text: x }
  - name: two words
    on: agent:failed
    log: { text: x }
  - name: three
    on: agent:failed
    when:
      cod: x
      attempt: { above: many }
      code: { like: x }
    log:
      text: "{{wrong}} {{code}"
  - name: four
    on: agent:failed
  - name: one
    on: agent:failed
    message:
      channel: nowhere
      peer: x
      text: x
  - name: six
    on: agent:failed
    webhook:
      url: ftp://example.org
  - name: seven
    on: agent:failed
    webhook:
      secretEnv: TEST_NOT_SET
      url: http://example.org
`,
  })
  const { logger, lines } = captureLog()
  const { connect } = await startScripted(t, {}, { home, logger })
  const socket = await connect()
  const listed = await socket.call('hooks.list')
  t.same(listed.hooks, [])
  const file = join(home, 'hooks.yaml')
  t.match(listed.problems, [
    {
      path: 'hooks[1].name',
      source: `${file}:5`,
      message: /^expected a name of letters.* found "two words"/,
    },
    {
      path: 'hooks[5].webhook.url',
      source: `${file}:27`,
      message: /^expected an http or https URL, found text/,
    },
  ])
  const before = await readFile(file, 'utf8')
  await writeFile(file, before.replace('two words', 'two').replace('ftp://', 'http://me:key@'))
  const { problems } = await socket.call('hooks.reload')
  const text = problems.map(
    ({ path, source, message }: Record<string, string>) => `${path} ${source!.slice(file.length)} ${message}`,
  )
  t.match(text, [
    /^hooks\[0\]\.on :3 'agent:finished' is no internal event, and no pattern of some/,
    /^hooks\[2\]\.when\.cod :11 expected a field of these events; did you mean 'code'/,
    /^hooks\[2\]\.when\.attempt :12 expected a field of these events/,
    /^hooks\[2\]\.when\.code\.like :13 unknown comparison; known: equals/,
    /^hooks\[2\]\.log\.text :15 expected each \{\{ to be closed/,
    /^hooks\[3\] :16 expected one of log, webhook and message, found none/,
    /^hooks\[4\]\.name :18 expected a name of its own, found that of hooks\[0\]/,
    /^hooks\[4\]\.message\.channel :21 expected a configured channel, found "nowhere"/,
    /^hooks\[5\]\.webhook :26 expected an http or https URL without credentials/,
    /^hooks\[6\]\.webhook\.secretEnv :31 expected a variable that is set/,
  ])
  t.equal(text.length, 10)
  t.ok(lines.some(({ msg, level }) => level === 50 && /^hooks\.yaml cannot be used/.test(msg)))
  await writeFile(file, 'hooks: [\n')
  t.match((await socket.call('hooks.reload')).problems, [
    { source: /hooks\.yaml:2$/, message: /^not valid YAML/ },
  ])
  await writeFile(file, 'hooks: {}\nhoks: []\n')
  t.match((await socket.call('hooks.reload')).problems, [
    { path: 'hoks', message: "unknown key; did you mean 'hooks'?" },
    { path: 'hooks', message: 'expected a list of rules, at most 1000, found keys and values' },
  ])
})

t.test('a changed hooks.yaml applies by itself, a bad one keeps the rules that were', async (t) => {
  const home = t.testdir({})
  const file = join(home, 'hooks.yaml')
  const { logger, lines } = captureLog()
  const { connect } = await startScripted(t, {}, { home, logger })
  const socket = await connect()
  const names = async () =>
    (await socket.call('hooks.list')).hooks.map(({ name }: { name: string }) => name) as string[]
  const rule = (name: string) => `  - { name: ${name}, on: command:reset, log: { text: "${name}" } }\n`
  t.same(await names(), [])
  await writeFile(file, `hooks:\n${rule('a')}`)
  await until(async () => (await names()).length === 1)
  // As editors do it.
  await writeFile(`${file}.new`, `hooks:\n${rule('a')}${rule('b')}`)
  await rename(`${file}.new`, file)
  await until(async () => (await names()).length === 2)
  await writeFile(file, `hooks:\n${rule('c')}  - { name: d }\n`)
  await until(async () => (await socket.call('hooks.list')).problems.length > 0)
  t.same(await names(), ['a', 'b'])
  await socket.call('sessions.create', {}, KEY)
  await socket.call('sessions.reset', {}, KEY)
  t.same(
    lines.filter(({ msg }) => msg === 'hook').map(({ text }) => text),
    ['a', 'b'],
  )
  await rm(file)
  await until(async () => (await names()).length === 0)
  t.same((await socket.call('hooks.list')).problems, [])
})
