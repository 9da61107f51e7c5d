import { execSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { RawSocket } from '../helpers/raw-socket.js'
import { until } from '../helpers/until.js'
import { startFaulty } from './harness.js'

const WANTED = 3_000
/** What a test process needs beside the crowd. */
const RESERVE = 200

/** As many as the machine lets this process have; says so where that is fewer. */
function crowdSize(t: Test): number {
  const limit = Number(execSync('ulimit -n', { encoding: 'utf8' }).trim().replace('unlimited', 'Infinity'))
  if (limit >= WANTED + RESERVE) return WANTED
  t.comment(`this machine allows ${limit} open files: a crowd of ${limit - RESERVE} instead of ${WANTED}`)
  return limit - RESERVE
}

/** WebSockets that say nothing, opened a hundred at a time. */
async function crowd(t: Test, url: string, size: number): Promise<RawSocket[]> {
  const sockets: RawSocket[] = []
  t.teardown(() => {
    for (const raw of sockets) raw.destroy()
  })
  while (sockets.length < size) {
    const batch = Array.from({ length: Math.min(100, size - sockets.length) }, () => RawSocket.upgraded(url))
    sockets.push(...(await Promise.all(batch)))
  }
  return sockets
}

t.test(
  'thousands that connect and say nothing are each told 4408, and cost nothing afterwards',
  async (t) => {
    const gateway = await startFaulty(t, {
      config: { connection: { handshakeTimeoutMs: 6_000, closeGraceMs: 200 } },
    })
    const polite = await gateway.polite()
    const restored = await gateway.restored()
    const size = crowdSize(t)
    const before = await gateway.inspect()
    const sockets = await polite.during(crowd(t, gateway.process.url, size))
    const connected = await gateway.metric('gateway_connections')
    const each = ((await gateway.inspect()).bytes - before.bytes) / connected
    t.ok(connected >= Math.min(1_000, size / 2), `${connected} at once`)
    t.ok(each < 16_000, `${Math.round(each)} bytes each`)

    const newcomer = await gateway.polite({ key: 'newcomer:1:main' })
    await polite.during(newcomer.ask(5))
    const codes = await polite.during(Promise.all(sockets.map((raw) => raw.closeCode())))
    t.same([...new Set(codes)], [4408])
    t.equal(await gateway.metric('gateway_connections_closed_total', { reason: 'hello_timeout' }), size)
    await newcomer.verify(t)
    newcomer.socket.terminate()
    await polite.verify(t)
    await restored(t)
  },
)

t.test(
  'a crowd beyond the bound is refused in so many words, and so is a newcomer until it has gone',
  async (t) => {
    const max = 300
    const gateway = await startFaulty(t, {
      config: { connection: { maxConnections: max, handshakeTimeoutMs: 60_000, closeGraceMs: 200 } },
    })
    const polite = await gateway.polite()
    const sockets = await polite.during(crowd(t, gateway.process.url, max + 200))
    const newcomer = await gateway.open()
    const { error } = await newcomer.hello()
    t.match(error, { code: 'UNAVAILABLE', retryable: true, retryAfterMs: Number })
    t.equal((await newcomer.closed).code, 1013)
    await until(async () => (await gateway.metric('gateway_connections')) <= max)

    const refused = sockets.slice(max - 1)
    const codes = await polite.during(Promise.all(refused.map((raw) => raw.closeCode())))
    t.same([...new Set(codes)], [1013])
    t.ok(
      sockets.slice(0, max - 1).every(({ socket }) => !socket.destroyed),
      'those that found room are left alone',
    )
    for (const raw of sockets) raw.destroy()
    await until(async () => (await gateway.metric('gateway_connections')) === 1)
    const later = await gateway.polite({ key: 'later:1:main' })
    await later.verify(t)
    await polite.verify(t)
  },
)

t.test('out of file descriptors, whoever is connected is served, and it heals by itself', async (t) => {
  const gateway = await startFaulty(t, {
    config: { connection: { handshakeTimeoutMs: 4_000, closeGraceMs: 200 } },
    openFiles: 300,
  })
  const polite = await gateway.polite()
  const open = gateway.descriptors()
  const sockets = Array.from({ length: 600 }, () => {
    const socket = connect(Number(new URL(gateway.process.url).port), '127.0.0.1')
    return socket.on('error', () => {}).resume()
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  await until(() => gateway.descriptors() >= 299)
  await polite.ask(20)
  await polite.during(Promise.all(sockets.map(ended)))
  await until(() => gateway.descriptors() <= open)
  const newcomer = await gateway.polite({ key: 'newcomer:1:main' })
  await newcomer.verify(t)
  await polite.verify(t)
})

async function ended(socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close')
}
