import t from 'tap'
import type { EndpointRequest, Inlet } from '../../src/connectors/connector.js'
import { incoming, ScriptedConnector, startChannel } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

class CalledConnector extends ScriptedConnector {
  readonly requests: EndpointRequest[] = []

  async endpoint(request: EndpointRequest, inlet: Inlet) {
    this.requests.push(request)
    const received = await inlet.receive(incoming(request.body.toString()))
    return { status: 202, headers: { 'x-took': 'it' }, body: JSON.stringify(received) }
  }
}

t.test('a platform’s call reaches its connector as it came, without a token', async (t) => {
  const connector = new CalledConnector()
  const auth = { enabled: true, tokens: [{ token: '0123456789abcdef' }] }
  const { url, app, agent } = await startChannel(t, { auth, basePath: '/gw' } as never, connector)
  await until(() => app.channels.get('scripted')!.ready)
  const body = '{ "text":  "hi" }'
  const headers = { 'content-type': 'application/json', 'X-Signature': 'v1' }
  const response = await fetch(`${url}/channels/mine`, { method: 'POST', body, headers })
  t.equal(response.status, 202)
  t.equal(response.headers.get('x-took'), 'it')
  t.match(await response.json(), { accepted: true })
  t.match(connector.requests[0], { headers: { 'x-signature': 'v1' }, remoteAddress: '127.0.0.1' })
  t.equal(connector.requests[0]!.body.toString(), body)
  t.equal((await agent.next()).content, body)
  const bare = await fetch(`${url}/channels/mine`, { method: 'POST' })
  t.equal(bare.status, 202)
  t.equal(connector.requests[1]!.body.length, 0)
})

t.test('there is nothing to call at other names, ways or times', async (t) => {
  const connector = new CalledConnector()
  const { url, app } = await startChannel(
    t,
    {
      connectors: { mine: { type: 'scripted' }, deaf: { type: 'deaf' } },
      connection: { maxPayloadBytes: 2_048 },
    },
    connector,
    { prepare: (app) => app.connector('deaf', () => new ScriptedConnector()) },
  )
  await until(() => app.channels.get('scripted')!.ready)
  const post = async (name: string, body = 'x') => {
    const { status } = await fetch(`${url}/channels/${name}`, { method: 'POST', body })
    return status
  }
  t.equal(await post('none'), 404)
  t.equal(await post('deaf'), 404)
  t.equal(await post('scripted'), 404)
  t.equal((await fetch(`${url}/channels/mine`)).status, 404)
  t.equal(await post('mine', 'x'.repeat(3_000)), 413)
  t.equal(await post('mine'), 202)
  await app.channels.get('scripted')!.stop()
  t.equal(await post('mine'), 503)
  t.equal(connector.requests.length, 1)
})

t.test('a connector that fails says nothing of the inside', async (t) => {
  const connector = new CalledConnector()
  connector.endpoint = async () => {
    throw new Error('secret')
  }
  const { url, app } = await startChannel(t, {}, connector)
  await until(() => app.channels.get('scripted')!.ready)
  const response = await fetch(`${url}/channels/mine`, { method: 'POST', body: 'x' })
  t.equal(response.status, 500)
  t.notMatch(await response.text(), /secret/)
})

t.test('a body that is too long is refused with the limit', async (t) => {
  const { url } = await startChannel(t, { connection: { maxPayloadBytes: 2_048 } }, new CalledConnector())
  const response = await fetch(`${url}/channels/mine`, { method: 'POST', body: 'x'.repeat(2_049) })
  t.equal(response.status, 413)
  t.match(await response.json(), {
    error: { code: 'INVALID_REQUEST', message: /2048 bytes/, details: { maxBytes: 2_048 }, retryable: false },
  })
})

t.test('requests are counted by their answer, the refused ones too', async (t) => {
  const connector = new CalledConnector()
  connector.endpoint = async ({ body: sent }) => {
    return { status: sent.toString() === 'signed' ? 202 : 401, headers: { 'x-took': 'it' }, body: '' }
  }
  const { url, app } = await startChannel(
    t,
    { connection: { maxPayloadBytes: 2_048 }, rateLimit: { http: { max: 5, windowMs: 60_000 } } },
    connector,
  )
  await until(() => app.channels.get('scripted')!.ready)
  const post = async (name: string, body: string) => {
    const response = await fetch(`${url}/channels/${name}`, { method: 'POST', body })
    await response.arrayBuffer()
    return response.status
  }
  t.strictSame(
    [
      await post('mine', 'signed'),
      await post('mine', 'forged'),
      await post('mine', 'x'.repeat(3_000)),
      await post('none', 'x'),
      await post('a-name-of-ones-own', 'x'),
      await post('mine', 'signed'),
    ],
    [202, 401, 413, 404, 404, 429],
  )
  const counted = async () => {
    const metric = await app.metrics.registry.getSingleMetric('gateway_channel_requests_total')!.get()
    return metric.values.map(({ labels, value }) => `${labels.connector} ${labels.status} ${value}`).sort()
  }
  // A response is counted once it is sent, which its reader may notice first.
  await until(async () => (await counted()).length === 5)
  t.strictSame(await counted(), ['mine 202 1', 'mine 401 1', 'mine 413 1', 'mine 429 1', 'other 404 2'])
})
