import t from 'tap'
import { startApp } from '../helpers/app.js'
import { startScripted } from '../helpers/scripted-agent.js'

const A = {
  name: 'a',
  token: 'the-first-token-here',
  limits: { connections: 2, requestsPerSecond: 3, inFlight: 2 },
}
const B = { name: 'b', token: 'the-second-token-here' }
const as = ({ token }: { token: string }) => ({ auth: { token } })

t.test('a principal has so many connections and no more, until one ends', async (t) => {
  const { app, open, connect, url } = await startApp(t, { auth: { tokens: [A, B] } })
  const first = await connect(as(A))
  await connect(as(A))
  const third = await open()
  t.match(await third.hello(as(A)), {
    type: 'hello-error',
    error: { code: 'RATE_LIMITED', retryable: true, retryAfterMs: 5_000, details: { limit: 'connections' } },
  })
  t.match(await third.closed, { code: 4429 })
  await Promise.all([connect(as(B)), connect(as(B)), connect(as(B))])
  first.terminate()
  await first.closed
  const again = async () => (await (await open()).hello(as(A))).type
  while ((await again()) !== 'hello-ok');
  t.ok(app.usages.refused.connections >= 1)
  t.match(
    await (await fetch(`${url}/metrics`)).text(),
    /gateway_principal_limited_total{limit="connections"}/,
  )
})

t.test('its requests count on all of its connections together', async (t) => {
  const { app, connect } = await startApp(t, { auth: { tokens: [A, B] } })
  const [one, two, other] = [await connect(as(A)), await connect(as(A)), await connect(as(B))]
  const answers = await Promise.all([one, two, one, two, one].map((socket) => socket.request('gateway.ping')))
  const refused = answers.filter(({ error }) => error?.code === 'RATE_LIMITED')
  t.equal(refused.length, 2)
  t.ok(refused[0]!.error.retryAfterMs > 0 && refused[0]!.error.retryAfterMs <= 1_000)
  t.equal(app.usages.refused.requests, 2)
  for (let i = 0; i < 10; i++) t.match(await other.call('gateway.ping'), { pong: true })
  one.send({ type: 'event', id: 'e', event: 'x.y', sessionKey: 'a:1:main' })
  t.match(await one.next(({ id }) => id === 'e'), { error: { code: 'RATE_LIMITED' } })
})

t.test('so do its unanswered requests, also past the end of a connection', async (t) => {
  const limits = { inFlight: 2 }
  const { connect, agent } = await startScripted(t, {
    auth: { tokens: [{ ...A, limits }], limits: { inFlight: 9 } },
  })
  const [one, two] = [await connect(as(A)), await connect(as(A))]
  const waiting = (socket: typeof one, id: string) =>
    socket.send({
      type: 'request',
      id,
      method: 'sessions.send',
      params: { content: id, wait: true },
      sessionKey: `a:${id}:main`,
    })
  waiting(one, 'x')
  waiting(two, 'y')
  const [x] = [await agent.next(), await agent.next()]
  t.match(await one.refused('sessions.list'), { code: 'RATE_LIMITED', details: { limit: 'inFlight' } })
  two.send({ type: 'cancel', id: 'y' })
  await two.next(({ id }) => id === 'y')
  t.ok(await one.call('sessions.list'))
  waiting(two, 'z')
  await agent.next()
  two.terminate()
  while ((await one.request('sessions.list')).error !== null);
  x.reply()
  t.match(await one.next(({ id }) => id === 'x'), { result: { outcome: { status: 'completed' } } })
})
