import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { history, startFaulty } from './harness.js'

/** Does with each message what its first word says. */
const AGENT = `
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const never = () => new Promise(() => {})
const brand = Symbol.for('lurkbot.GatewayError')
const cycle = {}
cycle.self = cycle
const unreadable = { get message() { throw new Error('no') }, get stack() { throw new Error('no') } }
const { proxy, revoke } = Proxy.revocable({}, {})
revoke()
const things = {
  undefined: undefined, null: null, text: 'a secret text', number: 42, bigint: 42n, symbol: Symbol('x'), cycle, unreadable, proxy,
  error: new Error('a secret text'),
  function: () => {},
  branded: Object.assign(new Error('told'), { [brand]: true, code: 'NOT_LINKED', details: cycle, retryable: false }),
  stranger: Object.assign(new Error('a secret text'), { [brand]: true, code: 'MADE_UP', details: 5n, retryable: false }),
  array: ['a'], date: new Date(), object: {}, cyclic: { content: 'x', metadata: cycle }, big: { content: 'x', usage: { n: 5n } },
  list: { content: 'x', metadata: ['a'] }, angry: { content: 'x', metadata: { toJSON() { throw new Error('no') } } },
}
let deep = {}
for (let i = 0; i < 100000; i++) deep = { deep }
things.deep = { content: 'x', metadata: deep }

export default function (event, context) {
  const [what, which] = event.payload.content.split(' ')
  if (what === 'throw') throw things[which]
  if (what === 'reject') return Promise.reject(things[which])
  if (what === 'return') return things[which]
  if (what === 'resolve') return Promise.resolve(things[which])
  if (what === 'huge') return 'x'.repeat(100_000_000)
  if (what === 'hang') return never()
  if (what === 'late') return late(context)
  if (what === 'twice') return { then(resolve) { resolve('first'); resolve('second'); context.delta('after the first') } }
  if (what === 'silent') return (async function* () { await never() })()
  if (what === 'clinging') return (async function* () { try { yield 'a'; await never() } finally { await never() } })()
  if (what === 'handmade') return handmade()
  if (what === 'vandal') return vandal(event, context)
  return 'answer to ' + event.payload.content
}

// Ignores its signal, and says a lot once it was given up.
async function late(context) {
  await new Promise((resolve) => context.signal.addEventListener('abort', resolve))
  context.delta('late at the abort')
  await sleep(500)
  for (let i = 0; i < 10; i++) context.delta('late ' + i)
  setTimeout(() => writeFileSync(new URL('./late', import.meta.url), 'said'), 20)
  return 'late answer'
}

// An iterator whose parts are no promises, and which does not take its leave well.
function handmade() {
  let n = 0
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => (n++ < 2 ? { done: false, value: 'piece ' } : never()),
      return() { throw new Error('I stay') },
    }),
  }
}

// Fails once, after it changed whatever it could lay its hands on.
function vandal(event, context) {
  const { content } = event.payload
  if (context.attempt > 1) return 'survived as ' + content + ' ' + JSON.stringify(context.session.metadata)
  event.payload.content = 'hang'
  for (const key of Object.keys(event)) event[key] = null
  context.session.metadata.broken = true
  context.history.push({ role: 'user', content: 'never said' })
  throw new Error('again')
}
`

/** A type of agent of its own: between it and the gateway there is no adapter that knows what a signal is. */
const DEAF = `
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
export default async function (app) {
  app.agent('deaf', () => ({
    type: 'deaf',
    async run({ payload }, { signal, delta, history }) {
      if (payload.content !== 'late') return { content: 'answer to ' + payload.content }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      delta('late at the abort')
      await sleep(500)
      for (let i = 0; i < 10; i++) delta('late ' + i)
      const seen = await history().catch((error) => error.code)
      setTimeout(() => writeFileSync(new URL('./deaf', import.meta.url), seen), 20)
      return { content: 'late answer' }
    },
  }))
}
`

const config = {
  defaultAgent: 'bad',
  agents: {
    bad: { type: 'module', path: './bad.mjs', timeoutMs: 600, retry: { attempts: 2, backoffMs: 1 } },
    deaf: { type: 'deaf', timeoutMs: 600 },
  },
  routing: [{ channel: 'deaf', agent: 'deaf' }],
  plugins: [{ module: './deaf.mjs' }],
  lanes: { abortGraceMs: 100 },
}
const gateway = await startFaulty(t, { config, files: { 'bad.mjs': AGENT, 'deaf.mjs': DEAF } })
const INTERNAL = { status: 'failed', message: null, error: { code: 'INTERNAL_ERROR' } }
let session = 0

interface Asked {
  readonly socket: TestSocket
  readonly key: string
  readonly outcome: Frame['result']
  /** Of a message right behind it, which shows that the lane moves on. */
  readonly next: Frame['result']
  readonly messages: string[]
  readonly deadLetters: Frame['result'][]
}

/** Sends one message in a session of its own, and one behind it. */
async function ask(content: string, channel = 'bad'): Promise<Asked> {
  const socket = await gateway.connect()
  const key = `${channel}:${session++}:main`
  const [first, second] = await Promise.all(
    [content, 'and then'].map((content) => socket.call('sessions.send', { content, wait: true }, key)),
  )
  const messages = (await history(socket, key)).map(said)
  const { deadLetters } = await socket.call('deadLetters.list', {}, key)
  return { socket, key, outcome: first.outcome, next: second.outcome, messages, deadLetters }
}

const said = ({ role, content }: Frame['payload']) => `${role}: ${content}`
const NEXT = ['user: and then', 'assistant: answer to and then']

t.test('agents that never answer are left behind; their lanes, and everybody else, go on', async (t) => {
  const polite = await gateway.polite()
  const before = await gateway.metric('gateway_runs_abandoned_total')
  const ways = ['hang', 'silent', 'clinging', 'handmade'].map((way) => ask(way))
  const asked = await polite.during(Promise.all(ways))
  for (const { socket, outcome, next, deadLetters, messages } of asked) {
    t.match(outcome, { status: 'failed', message: null, error: { code: 'AGENT_TIMEOUT' } })
    t.match(next, { status: 'completed', message: { content: 'answer to and then' } })
    t.match(deadLetters, [{ error: { code: 'AGENT_TIMEOUT' }, attempts: 1 }])
    t.equal(messages.length, 3)
    socket.terminate()
  }
  t.equal(
    await gateway.metric('gateway_runs_abandoned_total'),
    before,
    'the adapter of modules let go of them',
  )
  await polite.verify(t)
  polite.socket.terminate()
})

for (const channel of ['bad', 'deaf']) {
  const who = channel === 'bad' ? 'a module' : 'an agent without an adapter'
  t.test(`what ${who} says after it was given up is seen by nobody and kept nowhere`, async (t) => {
    const watcher = await gateway.connect()
    const before = await gateway.metric('gateway_runs_abandoned_total')
    const { outcome, next, messages, key } = await ask('late', channel)
    t.match(outcome, { status: 'failed', error: { code: 'AGENT_TIMEOUT' } })
    t.match(next, { status: 'completed' })
    const witness = join(gateway.home, channel === 'bad' ? 'late' : 'deaf')
    await until(() => existsSync(witness) && readFileSync(witness, 'utf8') !== '')
    if (channel === 'deaf') t.equal(readFileSync(witness, 'utf8'), 'CANCELLED', 'nor does it read on')
    const abandoned = (await gateway.metric('gateway_runs_abandoned_total')) - before
    t.equal(abandoned, channel === 'bad' ? 0 : 1)
    await watcher.call('gateway.ping')
    const told = watcher.frames.filter(({ sessionKey }) => sessionKey === key)
    t.notMatch(JSON.stringify(told), /late (at|answer|\d)/)
    t.equal(told.filter(({ event }) => event === 'agent.failed').length, 1, 'one outcome')
    t.same(messages, ['user: late', ...NEXT])
    t.same((await history(watcher, key)).map(said), messages, 'nor does the history have it now')
  })
}

const THROWN = [
  'undefined',
  'null',
  'text',
  'number',
  'bigint',
  'symbol',
  'cycle',
  'unreadable',
  'proxy',
  'error',
]

t.test(
  'whatever an agent throws, however it does: told as INTERNAL_ERROR, tried again, a dead letter',
  async (t) => {
    const polite = await gateway.polite({ key: 'polite:thrown' })
    const ways = THROWN.flatMap((thing) => [`throw ${thing}`, `reject ${thing}`])
    const asked = await polite.during(Promise.all([...ways, 'throw stranger'].map((way) => ask(way))))
    for (const [i, { socket, outcome, next, deadLetters }] of asked.entries()) {
      t.match(outcome, INTERNAL, ways[i] ?? 'throw stranger')
      t.match(next, { status: 'completed' })
      t.equal(deadLetters.length, 1)
      t.equal(deadLetters[0].attempts, i < ways.length ? 2 : 1)
      t.notMatch(JSON.stringify(socket.frames), /secret|MADE_UP/, 'what it was stays in the log')
      socket.terminate()
    }
    const told = await ask('reject branded')
    t.match(told.outcome, { status: 'failed', error: { code: 'NOT_LINKED', message: 'told', details: null } })
    t.match(told.next, { status: 'completed' })
    await polite.verify(t)
    polite.socket.terminate()
  },
)

const RETURNED = ['null', 'number', 'bigint', 'symbol', 'function', 'array', 'date', 'object']
const UNFIT = ['cyclic', 'big', 'list', 'angry', 'deep']

t.test('whatever an agent returns that is no answer fails its run at once, and only that', async (t) => {
  const polite = await gateway.polite({ key: 'polite:returned' })
  const ways = [...RETURNED, ...UNFIT].flatMap((thing) => [`return ${thing}`, `resolve ${thing}`])
  const asked = await polite.during(Promise.all(ways.map((way) => ask(way))))
  for (const [i, { socket, outcome, next, messages, deadLetters }] of asked.entries()) {
    t.match(outcome, INTERNAL, ways[i] ?? 'throw stranger')
    t.match(next, { status: 'completed' })
    t.match(deadLetters, [{ attempts: 1 }])
    t.equal(messages.length, 3)
    socket.terminate()
  }
  await polite.verify(t)
  polite.socket.terminate()
})

t.test('an answer of a hundred megabytes fails its run, and its memory comes back', async (t) => {
  const polite = await gateway.polite({ key: 'polite:huge' })
  const restored = await gateway.restored()
  const { socket, outcome, next, messages } = await polite.during(ask('huge'))
  t.match(outcome, { status: 'failed', message: null, error: { code: 'UNAVAILABLE', retryable: false } })
  t.match(next, { status: 'completed' })
  t.equal(messages.length, 3)
  socket.terminate()
  await polite.verify(t)
  await restored(t)
})

t.test('an agent that answers twice is heard once', async (t) => {
  const { socket, outcome, next, messages, key } = await ask('twice')
  t.match(outcome, { status: 'completed', message: { content: 'first' } })
  t.match(next, { status: 'completed' })
  t.same(messages.filter(isAnswer), ['assistant: first', 'assistant: answer to and then'])
  const of = (frame: Frame) => frame.event === 'agent.completed' && frame.sessionKey === key
  t.equal(socket.frames.filter(of).length, 2)
})

t.test('what an agent does to its event or session, its next try and the gateway do not see', async (t) => {
  const { outcome, next, messages, key, socket } = await ask('vandal')
  t.match(outcome, { status: 'completed', message: { content: 'survived as vandal {}' } })
  t.match(next, { status: 'completed' })
  t.same(messages.filter(isAnswer), ['assistant: survived as vandal {}', 'assistant: answer to and then'])
  t.equal(messages.length, 4)
  t.same((await socket.call('sessions.get', {}, key)).session.metadata, {})
})

const isAnswer = (message: string) => message.startsWith('assistant')
