import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'
import t, { type Test } from 'tap'
import { startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { until } from '../helpers/until.js'
import { ChannelGateway } from './channel-gateway.js'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

interface Answer {
  readonly id: string
  readonly peer: string
  readonly text: string
  readonly replyTo: string | null
}

/** Someone who verifies what comes and drops what it has seen, as receivers are told to. */
async function receiver(t: Test) {
  const there = { url: '', up: true, refusal: null as number | null, answers: [] as Answer[], requests: 0 }
  const seen = new Set<string>()
  const server = createServer(async (request, response) => {
    const body = await text(request)
    there.requests++
    if (!there.up) return response.writeHead(503).end()
    if (there.refusal !== null) return response.writeHead(there.refusal).end()
    const message = new Webhook(SECRET).verify(body, request.headers as Record<string, string>) as Answer
    if (!seen.has(message.id)) there.answers.push(message)
    seen.add(message.id)
    return response.writeHead(204).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close().closeAllConnections())
  there.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return there
}

async function post(gateway: { readonly url: string }, id: string, message: object): Promise<Response> {
  const body = JSON.stringify(message)
  const now = new Date()
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': new Webhook(SECRET).sign(id, now, body),
  }
  return fetch(new URL('/channels/hook', gateway.url), { method: 'POST', headers, body })
}

t.test('every accepted request is answered once and in order, whoever dies in between', async (t) => {
  const there = await receiver(t)
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const env = {
    HOOK: SECRET,
    LURKBOT_GATEWAY__CONNECTORS: JSON.stringify({
      hook: { type: 'webhook', secretEnv: 'HOOK', url: there.url },
    }),
    LURKBOT_GATEWAY__CHANNELS__DELIVERY__BACKOFF_MS: '20',
    LURKBOT_GATEWAY__CHANNELS__DELIVERY__MAX_BACKOFF_MS: '50',
    LURKBOT_GATEWAY__CHANNELS__DELIVERY__ATTEMPTS: '1000',
  }
  let gateway = await startGateway({ home, env })
  t.teardown(() => gateway.kill9())

  t.equal((await post(gateway, 'm0', { peer: 'alice', text: 'hello' })).status, 202)
  await until(() => there.answers.length === 1)
  t.match(there.answers, [{ peer: 'alice', text: 'hello', replyTo: 'm0' }])

  there.up = false
  const accepted: { eventId: string }[] = []
  for (let n = 1; n <= 12; n++) {
    const response = await post(gateway, `m${n}`, { peer: n % 2 === 0 ? 'alice' : 'bob', text: `${n}` })
    t.equal(response.status, 202)
    accepted.push((await response.json()) as { eventId: string })
    if (n === 6) {
      await gateway.kill9()
      gateway = await startGateway({ home, env })
    }
  }
  const again = await post(gateway, 'm3', { peer: 'bob', text: '3' })
  t.match(await again.json(), { eventId: accepted[2]!.eventId, duplicate: true })
  await until(() => there.requests > 20)
  there.up = true
  await until(() => there.answers.length >= 13)
  const saidTo = (peer: string) => there.answers.filter((one) => one.peer === peer).map(({ text }) => text)
  t.strictSame(saidTo('alice'), ['hello', '2', '4', '6', '8', '10', '12'])
  t.strictSame(saidTo('bob'), ['1', '3', '5', '7', '9', '11'])
  t.equal((await gateway.stop()).code, 0)
  t.equal(there.answers.length, 13)
})

t.test('a receiver that refuses for good is one clear status until it takes something again', async (t) => {
  const there = await receiver(t)
  const gateway = await ChannelGateway.start(t, {
    connector: { type: 'webhook', channel: 'hook', secretEnv: 'HOOK', url: there.url },
    env: { HOOK: SECRET },
  })
  const refusals = [
    [401, { code: 'FORBIDDEN', message: /does not accept the signature \(HTTP 401\)/ }],
    [403, { code: 'FORBIDDEN', message: /does not allow this \(HTTP 403\)/ }],
    [410, { code: 'NOT_FOUND', message: /is gone \(HTTP 410\)/ }],
  ] as const
  let sent = 0
  for (const [status, error] of refusals) {
    there.refusal = status
    for (const text of [`${status} one`, `${status} two`]) {
      t.equal((await post(gateway, `m${sent++}`, { peer: 'alice', text })).status, 202)
    }
    await until(async () => (await gateway.dead()).length === sent)
    t.match(await gateway.status(), { state: 'connected', error: { ...error, retryable: false } })
    t.match((await gateway.dead()).slice(-2), [
      { peer: 'alice', text: `${status} one`, error },
      { peer: 'alice', text: `${status} two`, error },
    ])
    t.ok(await gateway.isReady())
  }
  there.refusal = null
  await post(gateway, 'last', { peer: 'alice', text: 'again' })
  await until(() => there.answers.length === 1)
  await gateway.pending(0)
  t.match(await gateway.status(), { state: 'connected', error: null })
  const codes = gateway.statuses().flatMap(({ error }) => error?.code ?? [])
  t.strictSame(codes, ['FORBIDDEN', 'FORBIDDEN', 'NOT_FOUND'], 'the same again is no news')
  const lines = gateway.log().map(({ msg }) => msg)
  t.strictSame(lines, ['channel connected', ...Array(6).fill('delivery failed for good')])
  t.equal(await gateway.stop(), 0)
})

t.test('a request that cannot be verified is told so and runs nothing', async (t) => {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const connectors = { hook: { type: 'webhook', secrets: [SECRET] } }
  const gateway = await startGateway({
    home,
    env: { LURKBOT_GATEWAY__CONNECTORS: JSON.stringify(connectors) },
  })
  t.teardown(() => gateway.kill9())
  const response = await fetch(new URL('/channels/hook', gateway.url), { method: 'POST', body: '{}' })
  t.equal(response.status, 401)
  t.match(await response.json(), { error: { code: 'UNAUTHORIZED', message: /webhook-id is missing/ } })
  t.notMatch(gateway.output(), SECRET.slice(6))
})
