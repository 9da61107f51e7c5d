import t from 'tap'
import { RawSocket, upgradeRequest } from '../helpers/raw-socket.js'
import { TestSocket } from '../helpers/socket.js'
import { startFaulty } from './harness.js'

const BAD = '127.0.0.3'
const GOOD = '127.0.0.2'
const TOKEN = 'the-right-token-of-the-polite'

t.test('a flood of wrong tokens is refused by address; another address notices nothing', async (t) => {
  const gateway = await startFaulty(t, {
    config: {
      auth: { tokens: [{ name: 'polite', token: TOKEN }] },
      rateLimit: {
        http: { max: 0 },
        upgrades: { max: 0 },
        handshakeFailures: { max: 20, windowMs: 60_000 },
      },
    },
  })
  const hello = { auth: { token: TOKEN } }
  const polite = await gateway.polite({ hello, socket: { localAddress: GOOD } })
  const restored = await gateway.restored()
  const guess = async (i: number) => {
    const socket = new TestSocket(gateway.process.wsUrl, { localAddress: BAD })
    await socket.opened
    const { error } = await socket.hello({ auth: { token: `guess-${i}` } })
    return { error, code: (await socket.closed).code }
  }
  const flood = async () => {
    const all: Awaited<ReturnType<typeof guess>>[] = []
    for (let i = 0; i < 500; i += 50)
      all.push(...(await Promise.all(Array.from({ length: 50 }, (_, j) => guess(i + j)))))
    return all
  }
  const refusals = await polite.during(flood())
  t.equal(refusals.filter(({ code }) => code === 4401).length, 20, 'as many guesses as are allowed')
  const limited = refusals.filter(({ code }) => code === 4429)
  t.equal(limited.length, 480)
  for (const { error } of limited.slice(0, 3)) {
    t.match(error, { code: 'RATE_LIMITED', retryable: true })
    t.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 60_000)
  }
  const late = await gateway.open({ localAddress: BAD })
  t.match((await late.hello(hello)).error, { code: 'RATE_LIMITED' }, 'nor is the right one tried there now')

  const newcomer = await gateway.polite({ key: 'newcomer:1', hello, socket: { localAddress: GOOD } })
  await newcomer.verify(t)
  newcomer.socket.terminate()
  await polite.verify(t)
  t.equal(await gateway.metric('gateway_handshakes_refused_total', { reason: 'unauthorized' }), 20)
  t.equal(await gateway.metric('gateway_handshakes_refused_total', { reason: 'rate_limited' }), 481)
  t.notMatch(gateway.process.output(), /guess-\d/, 'no token is in the log')
  await restored(t)
})

t.test(
  'a churn of connections is refused by address with 429; another address notices nothing',
  async (t) => {
    const max = 200
    const gateway = await startFaulty(t, {
      config: { rateLimit: { http: { max: 0 }, upgrades: { max, windowMs: 60_000 } } },
    })
    const polite = await gateway.polite({ socket: { localAddress: GOOD } })
    const restored = await gateway.restored()
    const turn = async () => {
      const socket = new TestSocket(gateway.process.wsUrl, { localAddress: BAD })
      try {
        await socket.opened
        await socket.hello()
        socket.socket.close()
        return (await socket.closed).code
      } catch (error) {
        return (error as Error).message
      }
    }
    const churn = async () => {
      const ends: unknown[] = []
      for (let i = 0; i < 600; i += 30) ends.push(...(await Promise.all(Array.from({ length: 30 }, turn))))
      return ends
    }
    const ends = await polite.during(churn())
    t.equal(ends.filter((end) => end === 1005).length, max, 'as many as are allowed')
    t.equal(ends.filter((end) => end === 'Unexpected server response: 429').length, 600 - max)
    t.equal(await gateway.metric('gateway_http_refused_total', { kind: 'upgrades' }), 600 - max)

    const raw = new RawSocket(gateway.process.url, BAD)
    raw.write(upgradeRequest('/ws'))
    const [head, body] = (await raw.answer()).split('\r\n\r\n')
    t.match(head, /^HTTP\/1\.1 429 .*\r\nretry-after: \d+/is)
    t.match(JSON.parse(body!), { error: { code: 'RATE_LIMITED', retryable: true, retryAfterMs: Number } })

    const newcomer = await gateway.polite({ key: 'newcomer:1', socket: { localAddress: GOOD } })
    await newcomer.verify(t)
    newcomer.socket.terminate()
    await polite.verify(t)
    await restored(t)
  },
)
