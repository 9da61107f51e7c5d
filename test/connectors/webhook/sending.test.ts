import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'
import t, { type Test } from 'tap'
import { createWebhookConnector } from '../../../src/connectors/webhook/webhook.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { type ConnectorHost, connectorContext, hostOf } from '../../helpers/connector-host.js'
import { OTHER_SECRET, SECRET } from './served.js'

interface Got {
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: string
}

/** A receiver of webhooks; answers 204 unless told otherwise. */
async function receiver(t: Test) {
  const got: Got[] = []
  const state = {
    got,
    url: '',
    answer: (_request: IncomingMessage, response: ServerResponse): void => void response.writeHead(204).end(),
  }
  const server = createServer(async (request, response) => {
    const body = await text(request)
    got.push({ path: request.url!, headers: request.headers as Record<string, string>, body })
    state.answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  t.teardown(() => server.close().closeAllConnections())
  return state
}

async function sending(t: Test, options: JsonObject, env: NodeJS.ProcessEnv = {}): Promise<ConnectorHost> {
  const host = hostOf(t, await createWebhookConnector(options, connectorContext({ env, channel: 'hook' })))
  await host.start()
  return host
}

const TO = { peer: 'alice', thread: null }

t.test('posts a part that its receiver can verify', async (t) => {
  const there = await receiver(t)
  const host = await sending(t, { secretEnv: 'HOOK', url: there.url }, { HOOK: `${SECRET} ${OTHER_SECRET}` })
  const attachments = [{ type: 'text/plain', name: 'a.txt', data: 'aGk=' }]
  const sent = await host.send({ peer: 'alice', thread: 't1' }, 'Grüße', {
    idempotencyKey: 'dlv_1-2',
    runId: 'run_1',
    replyTo: 'msg_1',
    part: 2,
    parts: 2,
    attachments,
  })
  t.strictSame(sent, { messageId: null })
  const { body, headers } = there.got[0]!
  const message = new Webhook(SECRET).verify(body, headers) as { at: number }
  t.equal(headers['webhook-id'], 'dlv_1-2')
  t.equal(typeof message.at, 'number')
  const { at: _, ...rest } = message
  t.strictSame(rest, {
    type: 'message',
    id: 'dlv_1-2',
    channel: 'hook',
    peer: 'alice',
    thread: 't1',
    text: 'Grüße',
    attachments,
    runId: 'run_1',
    replyTo: 'msg_1',
    part: 2,
    parts: 2,
  })
})

t.test('signs with a secret of its own where there is one', async (t) => {
  const there = await receiver(t)
  const host = await sending(t, {
    verify: 'token',
    secrets: ['in'],
    signingSecret: OTHER_SECRET,
    url: there.url,
  })
  await host.send(TO, 'hi')
  const { body, headers } = there.got[0]!
  t.ok(new Webhook(OTHER_SECRET).verify(body, headers))
})

t.test('an attempt that is made again has the same id', async (t) => {
  const there = await receiver(t)
  const host = await sending(t, { secrets: [SECRET], url: there.url })
  t.equal(host.connector.capabilities.idempotent, true)
  there.answer = (_, response) => response.writeHead(500).end()
  await t.rejects(host.send(TO, 'hi', { idempotencyKey: 'k' }), { code: 'UNAVAILABLE', retryable: true })
  there.answer = (_, response) => response.writeHead(200).end('thanks')
  await host.send(TO, 'hi', { idempotencyKey: 'k' })
  t.strictSame(
    there.got.map(({ headers }) => headers['webhook-id']),
    ['k', 'k'],
  )
})

t.test('fills the conversation into the URL so that it stays where it is', async (t) => {
  const there = await receiver(t)
  const host = await sending(t, { verify: 'none', url: `${there.url}/to/{{peer}}?thread={{thread}}` })
  await host.send({ peer: 'a/../b?x#y', thread: 'ü &z' }, 'hi')
  await host.send(TO, 'hi')
  t.strictSame(
    there.got.map(({ path }) => path),
    ['/to/a%2F..%2Fb%3Fx%23y?thread=%C3%BC%20%26z', '/to/alice?thread='],
  )
  await t.rejects(host.send({ peer: '..', thread: null }, 'hi'), {
    code: 'INVALID_REQUEST',
    retryable: false,
  })
  t.equal(there.got.length, 2)
  t.notOk(there.got[0]!.headers['webhook-signature'], 'unsigned, since nothing is verified either')
})

t.test('says what each refusal of the receiver means', async (t) => {
  const there = await receiver(t)
  const host = await sending(t, { secrets: [SECRET], url: there.url })
  const cases: [number, string, boolean][] = [
    [302, 'INVALID_REQUEST', false],
    [400, 'INVALID_REQUEST', false],
    [401, 'FORBIDDEN', false],
    [403, 'FORBIDDEN', false],
    [404, 'NOT_FOUND', false],
    [408, 'UNAVAILABLE', true],
    [410, 'NOT_FOUND', false],
    [422, 'INVALID_REQUEST', false],
    [429, 'RATE_LIMITED', true],
    [500, 'UNAVAILABLE', true],
    [503, 'UNAVAILABLE', true],
  ]
  for (const [status, code, retryable] of cases) {
    there.answer = (_, response) =>
      response.writeHead(status, { location: `${there.url}/elsewhere`, 'retry-after': '7' }).end('no')
    await t.rejects(
      host.send(TO, 'hi'),
      { code, retryable, details: { status }, retryAfterMs: 7_000 },
      `${status}`,
    )
  }
  t.equal(there.got.length, cases.length, 'a redirect is not followed')
})

t.test('waits as long as a date says', async (t) => {
  const there = await receiver(t)
  const host = await sending(t, { secrets: [SECRET], url: there.url })
  const refusedWith = async (retryAfter: string) => {
    there.answer = (_, response) => response.writeHead(503, { 'retry-after': retryAfter }).end()
    return host.send(TO, 'hi').then(
      () => t.fail('it was taken'),
      ({ retryAfterMs }: { retryAfterMs?: number }) => retryAfterMs,
    )
  }
  const inAnHour = await refusedWith(new Date(Date.now() + 3_600_000).toUTCString())
  t.ok(typeof inAnHour === 'number' && inAnHour > 3_500_000 && inAnHour <= 3_600_000)
  t.equal(await refusedWith(new Date(0).toUTCString()), 0)
  t.equal(await refusedWith('soon'), undefined)
})

t.test('a receiver that is down, hangs up or is silent can be tried again', async (t) => {
  const there = await receiver(t)
  const host = await sending(t, { secrets: [SECRET], url: there.url })
  there.answer = (request) => void request.socket.destroy()
  await t.rejects(host.send(TO, 'hi'), { code: 'UNAVAILABLE', message: /cannot be reached/, retryable: true })
  const impatient = await sending(t, { secrets: [SECRET], url: there.url, timeoutMs: 100 })
  there.answer = () => {}
  await t.rejects(impatient.send(TO, 'hi'), {
    code: 'UNAVAILABLE',
    message: /silent for too long/,
    retryable: true,
  })
  const down = await sending(t, { secrets: [SECRET], url: 'http://127.0.0.1:1/' })
  await t.rejects(down.send(TO, 'hi'), { code: 'UNAVAILABLE', retryable: true })
})

t.test('a stopped attempt ends at once', async (t) => {
  const there = await receiver(t)
  const host = await sending(t, { secrets: [SECRET], url: there.url })
  const asked = new Promise<void>((resolve) => {
    there.answer = () => resolve()
  })
  const control = new AbortController()
  const part = {
    target: TO,
    text: 'hi',
    attachments: [],
    idempotencyKey: 'k',
    runId: null,
    replyTo: null,
    part: 1,
    parts: 1,
  }
  const sent = host.connector.send(part, control.signal)
  await asked
  control.abort()
  await t.rejects(sent, { name: 'AbortError' })
})

t.test('without a URL there is nowhere to answer', async (t) => {
  const host = await sending(t, { secrets: [SECRET] })
  await t.rejects(host.send(TO, 'hi'), { code: 'NOT_LINKED', retryable: false, message: /no url/ })
})

t.test('listens again after it was stopped, and stops at once', async (t) => {
  const host = await sending(t, { secrets: [SECRET] })
  await host.stop()
  t.strictSame(host.ended, { error: undefined })
  await host.start()
  t.ok(host.isConnected)
  await host.stop()
  const stopped = AbortSignal.abort()
  await host.connector.listen(host, stopped)
  t.notOk(host.isConnected)
})
