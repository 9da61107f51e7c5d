import t from 'tap'
import type { Frame, TestSocket } from '../helpers/socket.js'
import { startFaulty } from './harness.js'

const MAX_REPLY = 1_048_576

/** Says as much, in pieces of as many characters, as the message asks for, in one of several ways. */
const AGENT = `
export default function (event, context) {
  const [how, pieces, size] = event.payload.content.split(' ')
  const text = (i) => (String(i) + ' ').padEnd(Number(size), 'x')
  if (how === 'deltas') {
    for (let i = 0; i < pieces; i++) context.delta(text(i))
    return 'said ' + pieces
  }
  return (async function* () {
    if (how === 'nothing') for (;;) yield ''
    for (let i = 0; i < pieces; i++) yield text(i)
  })()
}
`

/** Asks for its history over and over, all at once. */
const HISTORIAN = `
export default async function (app) {
  app.agent('historian', () => ({
    type: 'historian',
    async run({ payload }, { history }) {
      const [, times] = payload.content.split(' ')
      const all = await Promise.all(Array.from({ length: Number(times ?? 0) }, () => history().then((h) => h.length)))
      return { content: 'read ' + all.length + ' times ' + [...new Set(all)] }
    },
  }))
}
`

const gateway = await startFaulty(t, {
  config: {
    defaultAgent: 'flood',
    agents: {
      flood: { type: 'module', path: './flood.mjs' },
      impatient: { type: 'module', path: './flood.mjs', timeoutMs: 500 },
      historian: { type: 'historian' },
    },
    routing: [
      { channel: 'historian', agent: 'historian' },
      { channel: 'impatient', agent: 'impatient' },
    ],
    plugins: [{ module: './historian.mjs' }],
  },
  files: { 'flood.mjs': AGENT, 'historian.mjs': HISTORIAN },
})
let session = 0

interface Flooded {
  readonly outcome: Frame['result']
  /** What was streamed, and how many deltas were left out for the one that asked. */
  readonly streamed: string
  readonly deltas: number
  readonly dropped: number
}

async function flood(content: string, channel = 'flood'): Promise<Flooded> {
  const socket: TestSocket = await gateway.connect({ subscribe: [] })
  const key = `${channel}:${session++}:main`
  await socket.call('events.subscribe', { sessionKeys: [key] })
  const { outcome } = await socket.call('sessions.send', { content, wait: true }, key)
  await socket.next(({ event }) => event === 'agent.completed' || event === 'agent.failed')
  const deltas = socket.frames.filter(({ event }) => event === 'agent.delta')
  const dropped = socket.frames.reduce((sum, frame) => sum + (frame.dropped ?? 0), 0)
  socket.terminate()
  const streamed = deltas.map(({ payload }) => payload.text).join('')
  return { outcome, streamed, deltas: deltas.length, dropped }
}

const spoken = (pieces: number, size: number) =>
  Array.from({ length: pieces }, (_, i) => `${i} `.padEnd(size, 'x')).join('')

t.test('a hundred thousand deltas in one go: few events, and the answer is right', async (t) => {
  const polite = await gateway.polite()
  const restored = await gateway.restored()
  const { outcome, streamed, deltas, dropped } = await polite.during(flood('deltas 100000 5'))
  t.match(outcome, { status: 'completed', message: { content: 'said 100000' } })
  t.ok(deltas < 200, `${deltas} events`)
  if (dropped === 0) t.equal(streamed, spoken(100_000, 5))
  else t.ok(spoken(100_000, 5).includes(streamed.slice(0, 100)), `${dropped} were left out`)
  await polite.verify(t)
  await restored(t)
  polite.socket.terminate()
})

t.test('generators that never wait for anything share the process with everyone else', async (t) => {
  const polite = await gateway.polite({ key: 'polite:2' })
  const restored = await gateway.restored()
  const before = await gateway.inspect()
  const floods = Promise.all(Array.from({ length: 8 }, () => flood('yield 20000 6')))
  await polite.ask(10)
  const { bytes } = await gateway.inspect()
  t.ok(bytes - before.bytes < 30_000_000, `${bytes - before.bytes} bytes meanwhile`)
  for (const { outcome, streamed, dropped } of await polite.during(floods)) {
    t.equal(outcome.status, 'completed')
    t.equal(outcome.message.content, spoken(20_000, 6))
    if (dropped === 0) t.equal(streamed, spoken(20_000, 6))
  }
  await polite.verify(t)
  await restored(t)
  polite.socket.terminate()
})

t.test(
  'an endless answer fails at the bound of an answer, an endless silence at the time limit',
  async (t) => {
    const polite = await gateway.polite({ key: 'polite:3' })
    const restored = await gateway.restored()
    const [endless, huge, silent] = await polite.during(
      Promise.all([flood('yield Infinity 100'), flood('deltas 20 100000000'), flood('nothing', 'impatient')]),
    )
    const tooLong = {
      status: 'failed',
      error: { code: 'UNAVAILABLE', message: /longer than/, retryable: false },
    }
    t.match(endless!.outcome, tooLong)
    t.ok(endless!.streamed.length <= MAX_REPLY)
    t.match(huge!.outcome, tooLong)
    t.equal(huge!.streamed, '')
    t.match(silent!.outcome, { status: 'failed', error: { code: 'AGENT_TIMEOUT' } })
    await polite.verify(t)
    await restored(t)
    polite.socket.terminate()
  },
)

t.test(
  'an agent that asks for its history a thousand times at once gets it, one after the other',
  async (t) => {
    const polite = await gateway.polite({ key: 'polite:4' })
    const socket = await gateway.connect({ subscribe: [] })
    const key = 'historian:1:main'
    for (let i = 0; i < 10; i++) {
      const content = 'x'.repeat(20_000)
      await socket.call('sessions.send', { content, wait: true }, key)
    }
    const restored = await gateway.restored()
    const before = await gateway.inspect()
    const asking = socket.call('sessions.send', { content: 'read 1000', wait: true }, key)
    await polite.ask(3)
    const { bytes } = await gateway.inspect()
    t.ok(bytes - before.bytes < 20_000_000, `${bytes - before.bytes} bytes meanwhile`)
    const { outcome } = await polite.during(asking)
    t.match(outcome, { status: 'completed', message: { content: 'read 1000 times 20' } })
    await polite.verify(t)
    await restored(t)
  },
)
