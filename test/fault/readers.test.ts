import t from 'tap'
import { clientFrame, RawSocket } from '../helpers/raw-socket.js'
import type { TestSocket } from '../helpers/socket.js'
import { type Faulty, startFaulty } from './harness.js'

const MAX_BUFFERED = 65_536

/** Streams as many pieces as it is told to; the answer is short. */
const STREAMER = `
import { setImmediate as turn } from 'node:timers/promises'
export default async function (event, context) {
  const [, pieces] = event.payload.content.split(' ')
  const text = 'x'.repeat(10_000)
  for (let i = 0; i < Number(pieces); i++) {
    context.delta(text)
    await turn()
  }
  return 'streamed ' + pieces
}
`

const config = {
  connection: { maxBufferedBytes: MAX_BUFFERED, closeGraceMs: 200, heartbeatMs: 25_000 },
  defaultAgent: 'streamer',
  agents: { streamer: { type: 'module', path: './streamer.mjs' } },
}
const files = { 'streamer.mjs': STREAMER }

const BIG = 'x'.repeat(200_000)
const dropped = (gateway: Faulty) => gateway.metric('gateway_deltas_dropped_total')
const slow = (gateway: Faulty) => gateway.metric('gateway_slow_consumers_total')

t.test(
  'clients that never read lose deltas first, then their connection, and cost bounded memory',
  async (t) => {
    const gateway = await startFaulty(t, { config, files })
    const polite = await gateway.polite()
    const noisy = await gateway.connect({ subscribe: [] })
    const restored = await gateway.restored()
    const before = await gateway.inspect()
    const stuck = await Promise.all(Array.from({ length: 5 }, () => gateway.connect()))
    for (const { socket } of stuck) socket.pause()

    // Deltas alone close nobody, however many there are.
    while ((await dropped(gateway)) < 1_000) {
      await noisy.call('sessions.send', { content: 'stream 200', wait: true }, 'noisy:1:main')
    }
    await polite.ask(5)
    t.equal(await slow(gateway), 0, 'nobody is closed for deltas')
    t.equal(await gateway.metric('gateway_connections'), 7)
    const { bytes } = await gateway.inspect()
    const grown = Math.round((bytes - before.bytes) / 1024)
    t.ok(bytes - before.bytes < stuck.length * MAX_BUFFERED + 8_000_000, `${grown} kB for all of them`)

    // What may not be left out ends them.
    let sent = 0
    const flood = async () => {
      while ((await slow(gateway)) < stuck.length) {
        await noisy.call('sessions.send', { content: BIG, wait: true }, 'noisy:2:main')
        sent++
      }
    }
    await polite.during(flood())
    t.equal(
      await gateway.metric('gateway_connections_closed_total', { reason: 'slow_consumer' }),
      stuck.length,
    )
    await polite.verify(t)
    const { messages } = await noisy.call('sessions.history', { limit: 1 }, 'noisy:2:main')
    t.equal(messages.length, 1)
    t.ok(sent > 0)
    await restored(t)

    const codes = await Promise.all(stuck.map(closedWith))
    for (const code of codes) t.match(String(code), /^(4409|1006)$/, 'told so, where it could still be told')
  },
)

/** Reads again, to see how it ended. */
async function closedWith(client: TestSocket): Promise<number> {
  client.socket.resume()
  return (await client.closed).code
}

t.test(
  'a client that never reads and goes on asking is not read either, and ended by the heartbeat',
  async (t) => {
    const gateway = await startFaulty(t, {
      config: { ...config, connection: { ...config.connection, heartbeatMs: 1_000 } },
      files,
    })
    const polite = await gateway.polite()
    const restored = await gateway.restored()
    const before = await gateway.inspect()
    const raw = await RawSocket.greeted(gateway.process.url)
    t.teardown(() => raw.destroy())
    raw.socket.pause()
    let asked = 0
    let most = 0
    const ask = async () => {
      while (!raw.socket.destroyed && (await gateway.metric('gateway_connections')) > 1) {
        // Answers of 100 kB, to questions of as much; what does not leave any more waits in this process.
        for (let i = 0; i < 50 && raw.socket.writableLength < 10_000_000; i++, asked++) raw.write(bigPing())
        most = Math.max(most, (await gateway.inspect()).bytes)
      }
    }
    await polite.during(ask())
    const grown = Math.round((most - before.bytes) / 1024)
    t.ok(
      most - before.bytes < 8_000_000,
      `${asked} questions of 100 kB: at most ${grown} kB more than before`,
    )
    await polite.verify(t)
    raw.destroy()
    await restored(t)
  },
)

t.test('a client that reads a byte at a time is served or closed; nobody else notices', async (t) => {
  const gateway = await startFaulty(t, {
    config: { ...config, connection: { ...config.connection, heartbeatMs: 1_000 } },
    files,
  })
  const polite = await gateway.polite()
  const noisy = await gateway.connect({ subscribe: [] })
  const restored = await gateway.restored()
  const raw = await RawSocket.greeted(gateway.process.url)
  t.teardown(() => raw.destroy())
  raw.socket.pause()
  // A byte a tenth of a second: nothing that it is sent is ever whole in time.
  const sip = setInterval(() => raw.socket.read(1), 100)
  t.teardown(() => clearInterval(sip))
  const flood = async () => {
    while ((await gateway.metric('gateway_connections')) > 2)
      await noisy.call('sessions.send', { content: BIG, wait: true }, 'noisy:1:main')
  }
  await polite.during(flood())
  await polite.verify(t)
  clearInterval(sip)
  raw.destroy()
  await restored(t)
})

t.test('a client that reads slowly, yet reads, gets everything', async (t) => {
  const gateway = await startFaulty(t, {
    config: { ...config, connection: { closeGraceMs: 200, heartbeatMs: 1_000 } },
    files,
  })
  const polite = await gateway.polite()
  const slowReader = await gateway.connect()
  // In sips of what has come, with pauses: the whole stays far below the bound.
  const sip = setInterval(() => {
    slowReader.socket.resume()
    setTimeout(() => slowReader.socket.pause(), 2)
  }, 40)
  t.teardown(() => clearInterval(sip))
  const noisy = await gateway.connect({ subscribe: [] })
  const talk = async () => {
    for (let i = 0; i < 40; i++)
      await noisy.call('sessions.send', { content: 'stream 3', wait: true }, 'noisy:1:main')
  }
  await polite.during(talk())
  await slowReader.all(
    40,
    ({ event, sessionKey }) => event === 'agent.completed' && sessionKey === 'noisy:1:main',
  )
  const deltas = slowReader.frames.filter(({ event }) => event === 'agent.delta')
  const left = slowReader.frames.reduce((sum, { dropped = 0 }) => sum + dropped, 0)
  t.ok(deltas.length + left >= 120, 'every delta came, or was said to be left out')
  await polite.verify(t)
})

let pings = 0
function bigPing(): Buffer {
  const params = { data: BIG.slice(0, 100_000) }
  return clientFrame(JSON.stringify({ type: 'request', id: `p${pings++}`, method: 'gateway.ping', params }))
}
