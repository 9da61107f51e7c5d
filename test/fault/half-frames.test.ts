import t, { type Test } from 'tap'
import { clientFrame, frameHeader, HELLO, RawSocket, upgradeRequest } from '../helpers/raw-socket.js'
import { beside, startFaulty } from './harness.js'

const TEXT = 0x1
const CONTINUATION = 0x0
const PING = 0x9
const PONG = 0xa

const MAX_PAYLOAD = 262_144

const gateway = await startFaulty(t, {
  config: {
    connection: {
      handshakeTimeoutMs: 1_500,
      heartbeatMs: 1_000,
      closeGraceMs: 200,
      maxPayloadBytes: MAX_PAYLOAD,
    },
  },
})

const closes = (reason: string) => gateway.metric('gateway_connections_closed_total', { reason })

async function raws(t: Test, count: number): Promise<RawSocket[]> {
  const sockets = await Promise.all(
    Array.from({ length: count }, () => RawSocket.greeted(gateway.process.url)),
  )
  t.teardown(() => {
    for (const raw of sockets) raw.destroy()
  })
  return sockets
}

t.test('half a hello and then silence: told after the time for it, and gone', async (t) => {
  await beside(t, gateway, async () => {
    const before = await closes('hello_timeout')
    const sockets = await Promise.all(
      Array.from({ length: 20 }, () => RawSocket.upgraded(gateway.process.url)),
    )
    for (const [i, raw] of sockets.entries()) raw.write(clientFrame(HELLO).subarray(0, i * 6))
    for (const raw of sockets) {
      t.equal(await raw.closeCode(), 4408)
      t.match(raw.received, 'hello-error')
    }
    t.equal((await closes('hello_timeout')) - before, 20)
  })
})

t.test('half a frame and then silence: ended by the heartbeat, and counted', async (t) => {
  await beside(t, gateway, async () => {
    const before = await closes('lost')
    const sockets = await raws(t, 20)
    const frame = clientFrame(JSON.stringify({ type: 'request', id: 'never', method: 'gateway.ping' }))
    for (const [i, raw] of sockets.entries()) raw.write(frame.subarray(0, 1 + i * 3))
    for (const raw of sockets) {
      t.equal(await raw.closeCode(), null)
      t.notMatch(raw.received, 'never')
    }
    t.equal((await closes('lost')) - before, 20)
  })
})

t.test('a frame that announces more than is allowed ends at its header', async (t) => {
  await beside(t, gateway, async () => {
    const before = await closes('too_big')
    const sizes = [BigInt(MAX_PAYLOAD) + 1n, 2n ** 31n, 2n ** 53n, 2n ** 60n, 2n ** 63n, 2n ** 64n - 1n]
    const sockets = await raws(t, sizes.length)
    for (const [i, raw] of sockets.entries()) raw.write(frameHeader(sizes[i]!))
    for (const raw of sockets) t.equal(await raw.closeCode(), 1009)
    t.equal((await closes('too_big')) - before, sizes.length)
    // In the very packet of the upgrade, before there is a connection that could be told.
    const eager = new RawSocket(gateway.process.url)
    eager.write(Buffer.concat([Buffer.from(upgradeRequest('/ws')), frameHeader(2n ** 60n)]))
    t.equal(await eager.closeCode(), 1009)
  })
})

t.test('breaches of the WebSocket protocol end with their code, and are counted', async (t) => {
  await beside(t, gateway, async () => {
    const breaches: [Buffer, number, string][] = [
      [Buffer.from([0x81, 2, 1, 2]), 1002, 'protocol_error'],
      [Buffer.from([0xf1, 0x80, 0, 0, 0, 0]), 1002, 'protocol_error'],
      [clientFrame('x', 0x3), 1002, 'protocol_error'],
      [clientFrame('x', CONTINUATION), 1002, 'protocol_error'],
      [clientFrame('x'.repeat(126), PING), 1002, 'protocol_error'],
      [clientFrame('x', PING, false), 1002, 'protocol_error'],
      [Buffer.concat([clientFrame('x', TEXT, false), clientFrame('y', TEXT)]), 1002, 'protocol_error'],
      [clientFrame(Buffer.from([0xc3, 0x28])), 1007, 'bad_text'],
      [clientFrame('x', 0x2), 1003, 'binary'],
    ]
    for (const [bytes, code, reason] of breaches) {
      const before = await closes(reason)
      const [raw] = await raws(t, 1)
      raw!.write(bytes)
      t.equal(await raw!.closeCode(), code)
      t.equal((await closes(reason)) - before, 1, reason)
    }
  })
})

t.test('messages that are never finished take up what they may, and no more', async (t) => {
  await beside(t, gateway, async () => {
    const before = await gateway.inspect()
    const sockets = await raws(t, 20)
    const piece = Buffer.alloc(32_000, 'x')
    for (const raw of sockets) {
      raw.write(clientFrame(piece, TEXT, false))
      for (let i = 1; i < 8; i++) raw.write(clientFrame(piece, CONTINUATION, false))
    }
    const { bytes } = await gateway.inspect()
    t.ok(bytes - before.bytes < 20 * MAX_PAYLOAD + 8_000_000, `${bytes - before.bytes} bytes for all`)
    // One more piece is one too many.
    for (const raw of sockets.slice(0, 10)) raw.write(clientFrame(piece, CONTINUATION, false))
    for (const raw of sockets.slice(0, 10)) t.equal(await raw.closeCode(), 1009)
    for (const raw of sockets.slice(10)) t.equal(await raw.closeCode(), null, 'ended by the heartbeat')
  })
})

t.test('a message in very many small pieces is refused, be they empty', async (t) => {
  await beside(t, gateway, async () => {
    const before = await closes('too_many_pieces')
    const { bytes } = await gateway.inspect()
    let most = 0
    for (const piece of ['', 'x']) {
      const [raw] = await raws(t, 1)
      raw!.write(clientFrame('{', TEXT, false))
      const pieces = Buffer.concat(Array.from({ length: 100 }, () => clientFrame(piece, CONTINUATION, false)))
      for (let i = 0; i < 100 && !raw!.socket.destroyed; i++) {
        raw!.write(pieces)
        if (i % 5 === 0) most = Math.max(most, (await gateway.inspect()).bytes - bytes)
      }
      t.equal(await raw!.closeCode(), 1008)
    }
    t.equal((await closes('too_many_pieces')) - before, 2)
    t.ok(most < 6_000_000, `${most} bytes`)
  })
})

t.test('a frame that comes byte by byte is refused long before it is as large as it may be', async (t) => {
  await beside(t, gateway, async () => {
    const before = await closes('too_many_pieces')
    const [raw] = await raws(t, 1)
    raw!.socket.setNoDelay(true)
    raw!.write(frameHeader(MAX_PAYLOAD))
    let written = 0
    while (!raw!.socket.destroyed && written < 262_000) {
      raw!.write('x')
      written++
      // The heartbeat is answered in between by nobody: as fast as single bytes can be told apart.
      await new Promise(setImmediate)
    }
    t.equal(await raw!.closeCode(), 1008, `after ${written} bytes`)
    t.equal((await closes('too_many_pieces')) - before, 1)
  })
})

t.test('floods of pings and of pongs are answered up to the limit, then closed with 4429', async (t) => {
  const gateway = await startFaulty(t, {
    config: {
      rateLimit: { http: { max: 0 }, upgrades: { max: 0 }, frames: { max: 500, windowMs: 60_000 } },
    },
  })
  const polite = await gateway.polite()
  const restored = await gateway.restored()
  const flood = async () => {
    for (const opcode of [PING, PONG]) {
      const raw = await RawSocket.greeted(gateway.process.url)
      t.teardown(() => raw.destroy())
      raw.write(Buffer.concat(Array.from({ length: 5_000 }, (_, i) => clientFrame(`p${i % 10}`, opcode))))
      t.equal(await raw.closeCode(), 4429)
      const pongs = raw.received.split('\x8a\x02p').length - 1
      t.ok(opcode === PING ? pongs > 400 && pongs <= 500 : pongs === 0, `${pongs} pongs`)
    }
  }
  await polite.during(flood())
  t.equal(await gateway.metric('gateway_connections_closed_total', { reason: 'rate_limited' }), 2)
  await polite.verify(t)
  await restored(t)
})
