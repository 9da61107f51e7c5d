import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { type Faulty, startFaulty } from './harness.js'

const PEERS = ['1', '2', '3']
const MESSAGES = 40
const KILLS = 4

/** A channel whose platform is a file: whatever is in there, the platform took. */
const CHANNEL = `
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
export default async function (app) {
  app.deliverer.attach({
    name: 'chat',
    concurrency: 2,
    ready: true,
    split: (text) => text.match(/.{1,4}/g),
    async send(part) {
      await sleep(1)
      const { target, text, idempotencyKey, replyTo } = part
      appendFileSync(new URL('platform', import.meta.url), JSON.stringify([target.peer, text, idempotencyKey, replyTo]) + '\\n')
      await sleep(1)
      return { messageId: idempotencyKey }
    },
  })
}
`

interface Taken {
  readonly peer: string
  readonly text: string
  readonly key: string
  readonly replyTo: string
}

function platform(home: string): Taken[] {
  const path = join(home, 'platform')
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => {
    const [peer, text, key, replyTo] = JSON.parse(line)
    return { peer, text, key, replyTo }
  })
}

/** Hands one message after the other over, again and again until it is acknowledged: as a connector does. */
async function handOver(connect: () => Promise<TestSocket>, peer: string, onAcknowledged: () => void) {
  let socket = await connect()
  for (let n = 0; n < MESSAGES; ) {
    const payload = { content: `${peer}-${n}-question`, origin: { messageId: `${n}`, senderId: peer } }
    const message = { type: 'message.received', source: 'chat', payload, idempotencyKey: `${peer}-${n}` }
    try {
      await socket.call('events.publish', message, `chat:${peer}:main`)
      onAcknowledged()
      n++
    } catch {
      socket = await connect()
    }
  }
}

/** Connects, as soon as there is a gateway. */
async function patient(gateway: Faulty): Promise<TestSocket> {
  for (;;) {
    const socket = await gateway.connect({ subscribe: [] }).catch(() => null)
    if (socket?.helloOk) return socket
    await sleep(20)
  }
}

function verify(t: Test, taken: readonly Taken[]) {
  for (const peer of PEERS) {
    const parts = taken.filter((part) => part.peer === peer)
    // What the platform had when the process died before it was written down comes again, under the same key.
    const once = parts.filter(({ key }, n) => key !== parts[n - 1]?.key)
    t.equal(new Set(once.map(({ key }) => key)).size, once.length, `peer ${peer} got nothing again later`)
    const answers = new Map<string, string>()
    for (const { replyTo, text } of once) answers.set(replyTo, (answers.get(replyTo) ?? '') + text)
    const expected = Array.from({ length: MESSAGES }, (_, n) => [`${n}`, `${peer}-${n}-question`])
    t.strictSame([...answers], expected, `peer ${peer} got every answer whole and in order`)
  }
}

t.test('killed again and again, it answers each message of a channel, in order', async (t) => {
  const gateway = await startFaulty(t, {
    config: { plugins: [{ module: './channel.mjs' }] },
    files: { 'channel.mjs': CHANNEL },
  })
  let acknowledged = 0
  let over = false
  const peers = PEERS.map((peer) =>
    handOver(
      () => patient(gateway),
      peer,
      () => acknowledged++,
    ),
  )
  const handedOver = Promise.all(peers).then(() => {
    over = true
  })
  for (let kill = 1; kill <= KILLS; kill++) {
    const enough = (MESSAGES * PEERS.length * kill) / (KILLS + 1)
    await until(() => over || acknowledged >= enough)
    await gateway.restart()
  }
  await handedOver
  const parts = () => new Set(platform(gateway.home).map(({ key }) => key)).size
  const expected = PEERS.flatMap((peer) =>
    Array.from({ length: MESSAGES }, (_, n) => Math.ceil(`${peer}-${n}-question`.length / 4)),
  ).reduce((a, b) => a + b)
  await until(() => parts() >= expected)
  await until(async () => (await gateway.metric('gateway_deliveries_pending')) === 0)
  verify(t, platform(gateway.home))
})
