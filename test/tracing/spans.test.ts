import { context, type SpanContext, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import t from 'tap'
import { GatewayError } from '../../src/protocol/index.js'
import { startAgentAndReceiver } from '../helpers/agent-and-receiver.js'
import { startApp } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { recordSpans, traceparentOf } from '../helpers/spans.js'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const TRACEPARENT = `00-${TRACE}-${SPAN}-01`
const TRACESTATE = 'rojo=1'
const KEY = 'web:1:main'

const parentOf = ({ parentSpanContext }: ReadableSpan) =>
  (parentSpanContext as SpanContext | undefined)?.spanId
const isBelow = (child: ReadableSpan, parent: ReadableSpan) => parentOf(child) === parent.spanContext().spanId

t.test('from a frame over lane and agent to the platform it is one tree', async (t) => {
  const spans = recordSpans(t)
  const there = await startAgentAndReceiver(t)
  const { connect } = await startApp(t, there.config)
  const socket = await connect()
  const payload = { content: 'a secret', origin: { messageId: '7', senderId: '1', group: false } }
  socket.send({
    type: 'request',
    id: 'mine',
    method: 'events.publish',
    params: { type: 'message.received', source: 'desk', payload, traceparent: ['no', 'matter'] },
    sessionKey: 'desk:1:main',
    traceparent: TRACEPARENT,
    tracestate: TRACESTATE,
  })
  const { error } = await socket.next(({ id }) => id === 'mine')
  t.equal(error, null)
  const [delivery] = await spans.ended('delivery.send')
  const [run] = await spans.ended('agent.run')
  const [accept] = await spans.ended('event.accept')
  const [request] = await spans.ended('events.publish')

  t.equal(parentOf(request!), SPAN)
  t.ok(isBelow(accept!, request!))
  t.ok(isBelow(run!, accept!))
  t.ok(isBelow(delivery!, run!))
  for (const span of [request!, accept!, run!, delivery!]) {
    t.equal(span.spanContext().traceId, TRACE)
    t.equal(span.status.code, SpanStatusCode.UNSET)
    t.notMatch(JSON.stringify([span.attributes, span.events]), /secret|yourself/)
  }
  t.strictSame(
    [request, accept, run, delivery].map((span) => span!.kind),
    [SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.PRODUCER],
  )
  t.match(request!.attributes, { 'rpc.method': 'events.publish', 'lurkbot.session.key': 'desk:1:main' })
  t.match(run!.attributes, {
    'gen_ai.agent.name': 'mine',
    'lurkbot.agent.type': 'http',
    'lurkbot.run.attempt': 1,
    'lurkbot.run.outcome': 'completed',
    'lurkbot.lane.wait_ms': Number,
  })
  t.match(delivery!.attributes, { 'lurkbot.channel': 'desk', 'lurkbot.delivery.outcome': 'delivered' })

  const [asked] = await there.at('/agent')
  t.match(asked!.headers, { traceparent: traceparentOf(run!), tracestate: TRACESTATE })
  t.equal(asked!.body.event.traceparent, traceparentOf(accept!))
  const [said] = await there.at('/platform')
  t.match(said!.headers, { traceparent: traceparentOf(delivery!), tracestate: TRACESTATE })
})

t.test('a request of a platform is a trace from HTTP on, and one that is refused as well', async (t) => {
  const spans = recordSpans(t)
  const there = await startAgentAndReceiver(t)
  const { url } = await startApp(t, there.config)
  const post = (body: object, headers: Record<string, string> = {}) =>
    fetch(`${url}/channels/hook`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  const answer = await post({ peer: '1', text: 'hi' }, { traceparent: TRACEPARENT })
  t.equal(answer.status, 202)
  const [delivery] = await spans.ended('delivery.send')
  const [http] = await spans.ended('POST /channels/:name')
  const [receive] = await spans.ended('channel.receive')
  const [accept] = await spans.ended('event.accept')
  t.equal(parentOf(http!), SPAN)
  t.match(http!.attributes, { 'http.response.status_code': 202, 'http.route': '/channels/:name' })
  t.ok(isBelow(receive!, http!))
  t.match(receive!.attributes, { 'messaging.system': 'webhook', 'lurkbot.received': 'accepted' })
  t.ok(isBelow(accept!, receive!))
  t.equal(delivery!.spanContext().traceId, TRACE)

  t.equal((await post({ text: 'from nobody' })).status, 400)
  const [, refused] = await spans.ended('POST /channels/:name', 2)
  t.equal(parentOf(refused!), undefined, 'a trace of its own')
  t.equal(refused!.status.code, SpanStatusCode.UNSET, 'it is the client that was wrong')
})

t.test('each try is a span of its own, with its failure, and the log names it', async (t) => {
  const spans = recordSpans(t)
  const { logger, lines } = captureLog()
  const { connect, agent } = await startScripted(t, {}, { logger })
  const socket = await connect()
  const answered = socket.call('sessions.send', { content: 'hi', wait: true }, KEY)
  const first = await agent.next()
  first.fail(new GatewayError('UNAVAILABLE', 'It cannot now: a secret.'))
  const second = await agent.next()
  second.context.report({ type: 'tool', callId: 'c1', title: 'a secret', status: 'started', input: {} })
  second.context.log.info({}, 'from the agent')
  second.reply()
  await answered
  const [send] = await spans.ended('sessions.send')
  const [accept] = await spans.ended('event.accept')
  const [failed, done] = await spans.ended('agent.run', 2)
  t.equal(parentOf(send!), undefined)
  t.ok(isBelow(accept!, send!))
  t.ok(isBelow(failed!, accept!) && isBelow(done!, accept!))
  t.match(failed!.attributes, { 'lurkbot.run.attempt': 1, 'error.type': 'UNAVAILABLE' })
  t.equal(failed!.status.code, SpanStatusCode.ERROR)
  t.match(done!.attributes, { 'lurkbot.run.attempt': 2, 'lurkbot.run.outcome': 'completed' })
  t.match(done!.events, [
    { name: 'gen_ai.tool', attributes: { 'gen_ai.tool.call.id': 'c1', 'lurkbot.tool.status': 'started' } },
  ])
  t.notMatch(JSON.stringify(spans.all().map(({ attributes, events }) => [attributes, events])), /secret/)
  const idsOf = (span: ReadableSpan) => ({ trace_id: TRACE_OF(span), span_id: span.spanContext().spanId })
  t.match(
    lines.find(({ msg }) => msg === 'agent failed'),
    idsOf(failed!),
  )
  t.match(
    lines.find(({ msg }) => msg === 'from the agent'),
    idsOf(done!),
  )
  t.equal(second.context.traceparent, traceparentOf(done!))
})

const TRACE_OF = (span: ReadableSpan) => span.spanContext().traceId

t.test('an agent runs in the context of its span, and what it traces is below it', async (t) => {
  const spans = recordSpans(t)
  const { connect } = await startScripted(
    t,
    {},
    {
      onRun: (run) => {
        trace.getTracer('agent').startActiveSpan('model', (span) => span.end())
        run.reply(trace.getSpan(context.active())?.spanContext().traceId)
      },
    },
  )
  const socket = await connect()
  const { outcome } = await socket.call('sessions.send', { content: 'hi', wait: true }, KEY)
  const [run] = await spans.ended('agent.run')
  t.equal(outcome.message.content, TRACE_OF(run!))
  t.ok(isBelow(spans.named('model')[0]!, run!))
})

t.test('messages that are handled together are linked', async (t) => {
  const spans = recordSpans(t)
  const { connect, agent } = await startScripted(t, {
    lanes: { queueMode: 'collect', collect: { quietMs: 1 } },
  })
  const socket = await connect()
  await socket.call('sessions.send', { content: 'one' }, KEY)
  const first = await agent.next()
  await socket.call('sessions.send', { content: 'two' }, KEY)
  await socket.call('sessions.send', { content: 'three' }, KEY)
  first.reply()
  const second = await agent.next()
  second.reply()
  const [, run] = await spans.ended('agent.run', 2)
  const [, two, three] = await spans.ended('event.accept', 3)
  t.ok(isBelow(run!, two!))
  t.strictSame(
    run!.links.map(({ context }) => context.spanId),
    [three!.spanContext().spanId],
  )
})

t.test('a request ends its span however it ends, and its failure is that of the right side', async (t) => {
  const spans = recordSpans(t)
  const { connect, agent } = await startScripted(t)
  const socket = await connect()
  await socket.refused('sessions.get', {}, 'web:nobody:main')
  await socket.refused('no.such.method')
  socket.send({
    type: 'request',
    id: 'c',
    method: 'sessions.send',
    params: { content: 'x', wait: true },
    sessionKey: KEY,
  })
  const run = await agent.next()
  socket.send({ type: 'cancel', id: 'c' })
  const [missing] = await spans.ended('sessions.get')
  t.match(missing!.attributes, { 'error.type': 'NOT_FOUND' })
  t.equal(missing!.status.code, SpanStatusCode.UNSET)
  const [cancelled] = await spans.ended('sessions.send')
  t.match(cancelled!.attributes, { 'error.type': 'CANCELLED' })
  socket.send({
    type: 'request',
    id: 'd',
    method: 'sessions.send',
    params: { content: 'y', wait: true },
    sessionKey: KEY,
  })
  await socket.event('session.message', ({ payload }) => payload.content === 'y')
  socket.terminate()
  const [, left] = await spans.ended('sessions.send', 2)
  t.match(left!.attributes, { 'error.type': 'CANCELLED' })
  run.reply()
  t.strictSame(spans.named('no.such.method'), [], 'no name that a client made up')
})
