import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createOpenAiAgent } from '../../src/agents/openai.js'
import { createNodeClient } from '../../src/client/node.js'
import { GatewayError } from '../../src/protocol/index.js'
import { createTestRun } from '../../src/testing/agent-suite.js'
import { say, startAcp } from '../helpers/acp.js'
import { startAgentAndReceiver } from '../helpers/agent-and-receiver.js'
import { startEndpoint } from '../helpers/aimock.js'
import { startApp, temporaryFolder } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { TestWorker } from '../helpers/test-worker.js'

const TRACE = {
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  tracestate: 'rojo=1',
}
const LOGGED = { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', span_id: '00f067aa0ba902b7' }
const KEY = 'web:1:main'

t.test('without an SDK what comes goes on: to the agent, to the platform, into the log', async (t) => {
  const { logger, lines } = captureLog()
  let tries = 0
  const there = await startAgentAndReceiver(t, (response) => {
    const status = tries++ === 0 ? 503 : 200
    response.writeHead(status, { 'content-type': 'application/json' }).end('{"content":"Hello."}')
  })
  const lanes = { retry: { attempts: 2, backoffMs: 1, maxBackoffMs: 1 } }
  const { url, app } = await startApp(t, { ...there.config, lanes }, { logger })
  t.notOk(app.tracing.enabled)
  const answer = await fetch(`${url}/channels/hook`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...TRACE },
    body: JSON.stringify({ peer: '1', text: 'hi' }),
  })
  t.equal(answer.status, 202)
  const [said] = await there.at('/platform')
  t.match(said!.headers, TRACE)
  for (const { headers, body } of await there.at('/agent', 2)) {
    t.match(headers, TRACE)
    t.match(body.event, TRACE)
  }
  const about = lines.filter(({ msg }) => msg === 'agent failed' || /refused a request/.test(msg))
  t.equal(about.length, 2)
  for (const line of about) t.match(line, LOGGED)
})

t.test('the typed client, event frames and modules take part, and what has no trace has none', async (t) => {
  const folder = await temporaryFolder(t)
  const answer =
    'export default (event, { traceparent, tracestate }) => JSON.stringify({ traceparent, tracestate })'
  await writeFile(join(folder, 'mine.mjs'), answer)
  const agents = { mine: { type: 'module', path: join(folder, 'mine.mjs') } }
  const { wsUrl, connect, app } = await startApp(t, { defaultAgent: 'mine', agents })
  const client = createNodeClient({
    url: wsUrl,
    client: { id: 'test', version: '1', platform: 'node', mode: 'cli' },
  })
  t.teardown(() => client.close())
  await client.connect()
  const say = async (options: object) => {
    const params = { content: 'hi', wait: true }
    const sent = await client.request('sessions.send', params, { sessionKey: KEY, ...options })
    return JSON.parse((sent as { outcome: { message: { content: string } } }).outcome.message.content)
  }
  t.strictSame(await say(TRACE), TRACE)
  t.strictSame(await say({}), {})
  for (const traceparent of ['', 'nonsense', `${TRACE.traceparent}0`, TRACE.traceparent.toUpperCase()]) {
    t.strictSame(await say({ traceparent }), {}, 'one that is malformed is ignored')
  }
  const socket = await connect()
  const publish = (trace: object) =>
    socket.send({
      type: 'event',
      id: 'e',
      event: 'message.received',
      payload: { content: 'hi' },
      sessionKey: 'web:2:main',
      ...trace,
    })
  const answers = (count: number) =>
    socket.all(count, ({ event, payload, sessionKey }) => {
      return event === 'session.message' && sessionKey === 'web:2:main' && payload.role === 'assistant'
    })
  publish(TRACE)
  publish({ traceparent: { not: 'a text' }, tracestate: 7 })
  const contents = (await answers(2)).map(({ payload }) => JSON.parse(payload.content))
  t.strictSame(contents, [TRACE, {}])
  const failed = await app.inject({ url: '/sessions/web:2:main/export', headers: { traceparent: 'bad' } })
  t.equal(failed.statusCode, 200)
})

t.test('a worker is told the trace of its run', async (t) => {
  const running = await startApp(t, { defaultAgent: 'brain', agents: { brain: { type: 'worker' } } })
  const worker = await TestWorker.connect(running)
  const socket = await running.connect()
  const send = (id: string, trace: object) =>
    socket.send({
      type: 'request',
      id,
      method: 'sessions.send',
      params: { content: id },
      sessionKey: id,
      ...trace,
    })
  send('web:1:main', TRACE)
  const traced = await worker.next()
  t.match(traced, { ...TRACE, event: TRACE })
  await worker.socket.call('worker.complete', { lease: traced.lease, content: 'done' })
  send('web:2:main', {})
  t.notOk('traceparent' in (await worker.next()))
})

t.test('a dead letter that is tried again belongs to the trace that it came with', async (t) => {
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  const frame = {
    type: 'request',
    id: 'a',
    method: 'sessions.send',
    params: { content: 'x' },
    sessionKey: KEY,
  }
  socket.send({ ...frame, ...TRACE })
  const first = await agent.next()
  first.fail(new GatewayError('INVALID_REQUEST', 'No.'))
  const { payload } = await socket.event('agent.failed')
  await socket.call('deadLetters.retry', { eventId: payload.eventId })
  const second = await agent.next()
  t.match(second.context, TRACE)
  second.reply()
})

t.test(
  'a model provider is told in headers, an agent of the Agent Client Protocol in the prompt',
  async (t) => {
    const seen: unknown[] = []
    const { baseUrl } = await startEndpoint(t, ({ headers: { traceparent, tracestate } }, response) => {
      seen.push({ traceparent, tracestate })
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(
        'data: {"choices":[{"delta":{"content":"in"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
      )
    })
    const { event, context } = createTestRun({ content: 'hi' })
    const given = { name: 'mine', log: context.log, baseDir: '/', env: {} }
    const model = createOpenAiAgent({ baseUrl, model: 'm' }, given)
    await model.run(event, { ...context, ...TRACE })
    await model.run(event, context)
    t.strictSame(seen, [TRACE, { traceparent: undefined, tracestate: undefined }])

    const { agent } = await startAcp(t)
    const run = createTestRun({ content: 'meta' })
    t.strictSame(JSON.parse((await agent.run(run.event, { ...run.context, ...TRACE })).content), TRACE)
    t.equal((await say(agent, 'meta')).reply.content, 'null')
  },
)

t.test('what a rule does belongs to the trace of the event that it is about', async (t) => {
  const there = await startAgentAndReceiver(t)
  const home = t.testdir({
    'hooks.yaml': `
hooks:
  - { name: posts, on: message:received, when: { event.source: ws }, webhook: { url: "${there.base}/hook" } }
  - { name: tells, on: message:received, when: { event.source: ws }, message: { sessionKey: "web:other:main", text: "told" } }
  - { name: says, on: agent:completed, when: { event.source: ws }, message: { channel: desk, peer: "1", text: "done" } }
`,
  })
  const { connect } = await startApp(t, there.config, { home })
  const socket = await connect()
  const params = { content: 'hi' }
  socket.send({ type: 'request', id: 'a', method: 'sessions.send', params, sessionKey: KEY, ...TRACE })
  for (const path of ['/hook', '/platform']) t.match((await there.at(path))[0]!.headers, TRACE)
  const runs = await there.at('/agent', 2)
  t.strictSame(runs.map(({ body }) => body.event.source).sort(), ['hook', 'ws'])
  for (const { headers } of runs) t.match(headers, TRACE)
})
