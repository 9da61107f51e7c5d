import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { clientFrame, RawSocket, upgradeRequest } from '../helpers/raw-socket.js'
import type { Frame } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { history, startFaulty } from './harness.js'

/** Streams its answer word by word, each word a turn of the event loop. */
const STREAMER = `
import { setImmediate as turn } from 'node:timers/promises'
export default async function* (event) {
  for (const word of event.payload.content.split(' ')) {
    await turn()
    yield word + ' '
  }
}
`
const config = { defaultAgent: 'streamer', agents: { streamer: { type: 'module', path: './streamer.mjs' } } }
const files = { 'streamer.mjs': STREAMER }

const request = (id: string, method: string, params: object, sessionKey?: string) =>
  clientFrame(JSON.stringify({ type: 'request', id, method, params, sessionKey }))

t.test('peers that are reset in the middle of anything leave nothing behind', async (t) => {
  const gateway = await startFaulty(t, { config, files })
  const { url } = gateway.process
  const polite = await gateway.polite()
  const restored = await gateway.restored()
  const misbehave = async () => {
    for (let round = 0; round < 60; round++) {
      const upgrading = new RawSocket(url)
      upgrading.write(upgradeRequest('/ws').slice(0, 1 + round * 3))
      const half = await RawSocket.greeted(url)
      half.write(request('half', 'gateway.ping', { data: 'x'.repeat(1_000) }).subarray(0, 1 + round * 15))
      const asking = await RawSocket.greeted(url)
      for (let i = 0; i < 20; i++) asking.write(request(`a${i}`, 'sessions.list', {}))
      asking.write(request('w', 'sessions.send', { content: 'one two', wait: true }, `reset:${round}`))
      const silent = await RawSocket.upgraded(url)
      if (round % 2 === 0) await turn()
      for (const raw of [upgrading, half, asking, silent]) raw.socket.resetAndDestroy()
    }
  }
  await polite.during(misbehave())
  await polite.verify(t)
  const { lanes } = await polite.socket.call('gateway.info')
  t.match(lanes, { running: 0, pending: 0 })
  await restored(t)
})

t.test(
  'a send cut off by a reset is stored or not, and its key tells which: nothing is lost or doubled',
  async (t) => {
    const gateway = await startFaulty(t, { config, files })
    const { url } = gateway.process
    const polite = await gateway.polite()
    const key = 'reset:1:main'
    const contents: string[] = []
    let cutOff = 0
    let unheard = 0
    const misbehave = async () => {
      for (let round = 0; round < 40; round++) {
        const raw = await RawSocket.greeted(url)
        const mine = Array.from({ length: 10 }, (_, i) => `r${round}m${i}`)
        const frames = mine.map((id) =>
          request(id, 'sessions.send', { content: id, idempotencyKey: id }, key),
        )
        const bytes = Buffer.concat(frames)
        // Anywhere: in the middle of a frame, before, among and after the answers.
        raw.write(bytes.subarray(0, Math.floor(bytes.length * Math.random() * 1.2)))
        for (let i = round % 8; i > 0; i--) await turn()
        raw.socket.resetAndDestroy()
        await raw.closed

        const acknowledged = new Map(
          [...raw.received.matchAll(/\{"id":"(r\d+m\d+)","type":"response","result":(\{[^}]*\})/g)].map(
            ([, id, result]) => [id, JSON.parse(result!)] as const,
          ),
        )
        // From here on as a client should: the same again until it is heard.
        for (const id of mine) {
          const again = await polite.socket.call('sessions.send', { content: id, idempotencyKey: id }, key)
          const first = acknowledged.get(id)
          if (first !== undefined) {
            const { eventId, runId, seq } = again
            t.match(
              { eventId, runId, seq, duplicate: again.duplicate },
              { ...first, queued: undefined, duplicate: true },
            )
          } else if (again.duplicate) unheard++
          else cutOff++
        }
        contents.push(...mine)
      }
    }
    await polite.during(misbehave())
    t.comment(
      `${contents.length} sends: ${cutOff} did not arrive, ${unheard} did without its sender hearing so`,
    )
    await until(async () => (await polite.socket.call('gateway.info')).lanes.pending === 0)
    const messages = await history(polite.socket, key)
    const of = (role: string) => messages.filter((message) => message.role === role)
    t.same(
      of('user').map(({ content }) => content),
      contents,
      'every message is there once, in order',
    )
    t.same(
      of('assistant').map(({ content }) => content),
      contents.map((content) => `${content} `),
      'and was answered once, in order',
    )
    await polite.verify(t)
  },
)

t.test('receivers that are reset while events go out take nothing from the others', async (t) => {
  const gateway = await startFaulty(t, { config, files })
  const polite = await gateway.polite()
  const restored = await gateway.restored()
  const listeners = await Promise.all(
    Array.from({ length: 10 }, () => gateway.connect({ subscribe: ['agent.*'] })),
  )
  const doomed = await Promise.all(Array.from({ length: 60 }, () => RawSocket.greeted(gateway.process.url)))
  const words = Array.from({ length: 300 }, (_, i) => `w${i}`).join(' ')
  const speak = async () => {
    const answer = polite.socket.call('sessions.send', { content: words, wait: true }, 'loud:1:main')
    for (const raw of doomed) {
      await raw.until('agent.delta')
      raw.socket.resetAndDestroy()
      await turn()
    }
    return answer
  }
  const { outcome } = await polite.during(speak())
  t.equal(outcome.message.content, `${words} `)
  for (const listener of listeners) {
    const mine = ({ sessionKey }: Frame) => sessionKey === 'loud:1:main'
    await listener.event('agent.completed', mine)
    const deltas = listener.frames.filter((frame) => frame.event === 'agent.delta' && mine(frame))
    t.equal(deltas.map(({ payload }) => payload.text).join(''), `${words} `)
    listener.terminate()
  }
  await polite.verify(t)
  await restored(t)
})
