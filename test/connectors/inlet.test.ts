import t, { type Test } from 'tap'
import type { Principal } from '../../src/auth/principal.js'
import type { IncomingMessage, Target } from '../../src/connectors/connector.js'
import { ChannelInlet, type ChannelInletOptions, type ReceiveOutcome } from '../../src/connectors/inlet.js'
import { Pairing } from '../../src/connectors/pairing.js'
import type { AcceptedEvent, Incoming } from '../../src/lanes/intake.js'
import { GatewayError } from '../../src/protocol/index.js'
import { connectorContext } from '../helpers/connector-host.js'
import { MemoryPeers } from '../helpers/memory-peers.js'
import { incoming, ScriptedConnector } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

interface Access {
  allow?: string[]
  pairing?: boolean
  mentions?: boolean
}

const full = () => new GatewayError('UNAVAILABLE', 'full', { retryAfterMs: 1 })

async function inletOf(
  _t: Test,
  { allow = ['*'], pairing: pairs = false, mentions = true }: Access = {},
  overrides: Partial<ChannelInletOptions> = {},
) {
  const { log, logged } = connectorContext()
  const accepted: { incoming: Incoming; principal: Principal }[] = []
  const told: { target: Target; text: string; replyTo: string | null }[] = []
  const outcomes: ReceiveOutcome[] = []
  const commands: string[] = []
  const pairing = new Pairing({
    codeTtlMs: 3_600_000,
    maxPending: 2,
    rejectedMs: 60_000,
    log,
    onRequested: () => {},
    onResolved: () => {},
  })
  await pairing.load(new MemoryPeers())
  const accept = async (incoming: Incoming, principal: Principal): Promise<AcceptedEvent> => {
    accepted.push({ incoming, principal })
    return { eventId: `evt_${accepted.length}`, runId: `run_${accepted.length}`, seq: 1, queued: 0 }
  }
  const inlet = new ChannelInlet({
    entry: {
      name: 'mine',
      type: 'scripted',
      channel: 'chat',
      connector: new ScriptedConnector(),
      enabled: true,
      access: { allow: new Set(allow), pairing: pairs, mentions },
      preview: true,
      typing: true,
      questions: 'ask',
    },
    identity: () => '@gate',
    accept,
    pairing,
    codeTtlMs: 3_600_000,
    hasRoom: () => true,
    notify: async (target, text, replyTo) => {
      told.push({ target, text, replyTo })
    },
    command: async (command, sessionKey) => {
      commands.push(`${command} ${sessionKey}`)
      return `did ${command}`
    },
    questions: { isAsking: () => false, answer: (key, text) => `answered ${key} ${text}` },
    limits: { maxReceiving: 100, receiveTimeoutMs: 0 },
    log,
    observe: (outcome) => outcomes.push(outcome),
    ...overrides,
  })
  const stop = new AbortController()
  const receive = (text: string, message: Partial<IncomingMessage> = {}) =>
    inlet.receive(incoming(text, message), stop.signal)
  return { inlet, receive, accepted, told, outcomes, commands, pairing, logged, stop }
}

t.test('a message becomes an event of its conversation, with where it came from', async (t) => {
  const { receive, accepted, outcomes } = await inletOf(t)
  const received = await receive('hello', {
    id: '42',
    peer: '#room',
    thread: '9',
    group: true,
    mentioned: true,
    attachments: [{ type: 'image/png', name: 'a.png', data: 'AA==' }],
    metadata: { edited: true },
  })
  t.strictSame(received, { accepted: true, eventId: 'evt_1', runId: 'run_1', duplicate: false })
  const { incoming: event, principal } = accepted[0]!
  t.match(event, {
    type: 'message.received',
    source: 'chat',
    sessionKey: 'chat:#room:9',
    idempotencyKey: 'gateway:scripted:42',
    payload: {
      content: 'hello',
      attachments: [{ type: 'image/png', name: 'a.png', data: 'AA==' }],
      sender: 'Ada',
      metadata: { scripted: { edited: true } },
      origin: { messageId: '42', senderId: '7', senderName: 'Ada', group: true },
    },
  })
  t.equal(principal.name, 'channel:chat')
  t.strictSame([...principal.scopes], ['write'])
  t.ok(principal.allowsSession('chat:#room:9'))
  t.notOk(principal.allowsSession('other:#room:9'))
  t.strictSame(outcomes, ['accepted'])
})

t.test('a long id of a message becomes a key all the same, and a long name is cut', async (t) => {
  const { receive, accepted } = await inletOf(t)
  await receive('a', { id: 'x'.repeat(500), sender: { id: '7', name: 'n'.repeat(500) } })
  await receive('a', { id: `${'x'.repeat(500)}y` })
  const [first, second] = accepted.map(({ incoming }) => incoming)
  t.ok(first!.idempotencyKey!.length <= 128)
  t.not(first!.idempotencyKey, second!.idempotencyKey)
  t.equal(String(first!.payload.sender).length, 256)
})

t.test('nothing said is nothing accepted, and attachments alone say what they are', async (t) => {
  const { receive, accepted } = await inletOf(t)
  t.strictSame(await receive(' \n '), { accepted: false, reason: 'empty' })
  await receive('', { attachments: [{ type: 'image/png', name: 'a.png' }, { type: 'audio/ogg' }] })
  t.equal(accepted[0]!.incoming.payload.content, '[a.png] [audio/ogg]')
})

t.test('in a group only what is meant for the gateway is', async (t) => {
  const { receive, accepted } = await inletOf(t)
  const group = { group: true }
  t.match(await receive('hi all', group), { accepted: false, reason: 'not_mentioned' })
  t.match(await receive('/new@other', group), { reason: 'not_mentioned' })
  t.match(await receive('/new@gate', group), { reason: 'command' })
  t.match(await receive('hi you', { ...group, mentioned: true }), { accepted: true })
  t.equal(accepted.length, 1)
  const all = await inletOf(t, { mentions: false })
  t.match(await all.receive('hi all', group), { accepted: true })
})

t.test('who is not allowed is not answered; a person or a whole group can be', async (t) => {
  const { receive, told } = await inletOf(t, { allow: ['7', '#room'] })
  const stranger = { sender: { id: '8' }, peer: '8' }
  t.match(await receive('hi'), { accepted: true })
  t.match(await receive('hi', stranger), { accepted: false, reason: 'not_allowed' })
  t.match(await receive('/help', stranger), { reason: 'not_allowed' })
  t.match(await receive('hi', { ...stranger, peer: '#room', group: true, mentioned: true }), {
    accepted: true,
  })
  t.strictSame(told, [])
})

t.test('a stranger is told a code once, and let in when it is approved', async (t) => {
  const { receive, told, pairing, logged } = await inletOf(t, { allow: [], pairing: true })
  t.strictSame(await receive('/start', { id: 'm9', thread: '3' }), { accepted: false, reason: 'not_paired' })
  t.match(await receive('hello?'), { reason: 'not_paired' })
  t.equal(told.length, 1)
  const [record] = pairing.list()
  t.match(record, { channel: 'chat', peer: '7', name: 'Ada', approvedAt: null })
  t.match(told[0], { target: { peer: '7', thread: '3' }, replyTo: 'm9', text: new RegExp(record!.code) })
  t.notMatch(JSON.stringify(logged), new RegExp(record!.code))
  await pairing.approve({ code: record!.code }, 'ops')
  t.match(await receive('hello!'), { accepted: true })
})

t.test('in a group a stranger is answered only where the gateway is spoken to', async (t) => {
  const { receive, told } = await inletOf(t, { allow: [], pairing: true, mentions: false })
  const group = { peer: '#room', group: true }
  t.match(await receive('hi all', group), { reason: 'not_paired' })
  t.equal(told.length, 0)
  t.match(await receive('hi you', { ...group, mentioned: true }), { reason: 'not_paired' })
  t.equal(told.length, 1)
})

t.test('the gateway’s own commands are obeyed, all else is a message', async (t) => {
  const { receive, commands, told, accepted } = await inletOf(t)
  for (const text of ['/start', '/start abc', '/help', '/HELP@gate', '/new', '/reset@GATE', ' /stop '])
    t.strictSame(await receive(text), { accepted: false, reason: 'command' }, text)
  t.strictSame(commands, ['new chat:7:main', 'reset chat:7:main', 'stop chat:7:main'])
  t.match(told[0], { text: /\/new .*\n\/stop/, replyTo: 'm1' })
  t.equal(told.at(-1)!.text, 'did stop')
  for (const text of ['/newer', '/new things', '/new@other', 'say /new', '/', '/unknown'])
    t.match(await receive(text), { accepted: true }, text)
  t.equal(accepted.length, 6)
})

t.test('messages of one peer are accepted in the order of the calls, whatever waits', async (t) => {
  const order: unknown[] = []
  let refusals = 3
  const { receive } = await inletOf(
    t,
    {},
    {
      limits: { maxReceiving: 100, receiveTimeoutMs: 60_000 },
      accept: async ({ payload }) => {
        if (refusals-- > 0) throw full()
        order.push(payload.content)
        return { eventId: 'e', runId: 'r', seq: 1, queued: 0 }
      },
    },
  )
  await Promise.all(['one', 'two', 'three'].map((text) => receive(text)))
  t.strictSame(order, ['one', 'two', 'three'])
})

t.test('a message waits for room in the outbox as well', async (t) => {
  let room = false
  const { receive } = await inletOf(
    t,
    {},
    { limits: { maxReceiving: 100, receiveTimeoutMs: 60_000 }, hasRoom: () => room },
  )
  const received = receive('hi')
  room = true
  t.match(await received, { accepted: true })
})

t.test('what finds no room in time is not taken, and its sender is told once', async (t) => {
  const { receive, told, outcomes, logged } = await inletOf(
    t,
    {},
    {
      accept: async () => {
        throw full()
      },
    },
  )
  await t.rejects(receive('one'), { code: 'UNAVAILABLE' })
  await t.rejects(receive('two'), { code: 'UNAVAILABLE' })
  t.strictSame(
    told.map(({ text }) => text),
    ['There is too much to do at the moment. Please try again later.'],
  )
  t.strictSame(outcomes, ['failed', 'failed'])
  t.strictSame(
    logged.map(([level, , message]) => `${level} ${message}`),
    ['warn a message could not be taken in time', 'debug a message could not be taken in time'],
  )
})

t.test('no more messages wait than are allowed to', async (t) => {
  let go = () => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  const { receive, told } = await inletOf(
    t,
    {},
    {
      limits: { maxReceiving: 2, receiveTimeoutMs: 60_000 },
      accept: async () => {
        await gate
        return { eventId: 'e', runId: 'r', seq: 1, queued: 0 }
      },
    },
  )
  const first = [receive('one'), receive('two', { peer: '8' })]
  await t.rejects(receive('three'), { code: 'UNAVAILABLE' })
  await until(() => told.length === 1)
  go()
  t.match(await Promise.all(first), [{ accepted: true }, { accepted: true }])
  t.match(await receive('four'), { accepted: true })
})

t.test('a message that is refused for good is not tried again, and its sender is told why', async (t) => {
  let tries = 0
  const { receive, told, outcomes } = await inletOf(
    t,
    {},
    {
      limits: { maxReceiving: 1, receiveTimeoutMs: 60_000 },
      accept: async () => {
        tries++
        throw new GatewayError('FORBIDDEN', 'No spam here.')
      },
    },
  )
  t.strictSame(await receive('buy'), { accepted: false, reason: 'refused' })
  t.equal(tries, 1)
  t.match(told, [{ text: 'This message cannot be taken: No spam here.', replyTo: 'm1' }])
  t.strictSame(outcomes, ['refused'])
  t.match(await receive('hi', { peer: 'p'.repeat(300) }), { reason: 'refused' })
})

t.test('the same message in other words is the same message', async (t) => {
  const { receive, outcomes } = await inletOf(
    t,
    {},
    {
      accept: async () => {
        throw new GatewayError('CONFLICT', 'used', { details: { eventId: 'evt_abc' } })
      },
    },
  )
  t.strictSame(await receive('hi'), { accepted: true, eventId: 'evt_abc', runId: 'run_abc', duplicate: true })
  t.strictSame(outcomes, ['duplicate'])
})

t.test('waiting for room ends with the connection, without a word', async (t) => {
  const { receive, told, stop } = await inletOf(
    t,
    {},
    {
      limits: { maxReceiving: 1, receiveTimeoutMs: 60_000 },
      accept: async () => {
        throw new GatewayError('UNAVAILABLE', 'full', { retryAfterMs: 60_000 })
      },
    },
  )
  const received = receive('hi')
  stop.abort()
  await t.rejects(received, { code: 'CANCELLED' })
  t.strictSame(told, [])
})

t.test('a sender that cannot be told does not fail the message', async (t) => {
  const { receive, logged } = await inletOf(
    t,
    {},
    {
      notify: async () => {
        throw new Error('disk full')
      },
    },
  )
  t.match(await receive('/help'), { reason: 'command' })
  t.match(logged, [['warn', { cause: 'disk full' }, 'a sender could not be told']])
})

t.test('files are fetched once it is decided that the message is taken, and in its turn', async (t) => {
  const fetched: string[] = []
  const file = (name: string): Partial<IncomingMessage> => ({
    files: async () => {
      fetched.push(name)
      return { attachments: [{ type: 'image/png', name, data: 'AA==' }], metadata: { fetched: true } }
    },
  })
  const stranger = { sender: { id: '8' }, peer: '8' }
  const { receive, accepted } = await inletOf(t, { allow: ['7', '#room'] })
  t.match(await receive('hi', { ...stranger, ...file('no') }), { reason: 'not_allowed' })
  t.match(await receive('hi', { peer: '#room', group: true, ...file('no') }), { reason: 'not_mentioned' })
  t.match(await receive('/help', file('no')), { reason: 'command' })
  const paired = await inletOf(t, { allow: [], pairing: true })
  t.match(await paired.receive('hi', file('no')), { reason: 'not_paired' })
  t.strictSame(fetched, [])
  await Promise.all([receive('', file('a.png')), receive('after')])
  t.strictSame(
    accepted.map(({ incoming }) => incoming.payload.content),
    ['[a.png]', 'after'],
  )
  t.match(accepted[0]!.incoming.payload, {
    attachments: [{ name: 'a.png', data: 'AA==' }],
    metadata: { scripted: { fetched: true } },
  })
})

t.test('a message whose connection ended while its files were fetched is left to the platform', async (t) => {
  const { receive, accepted, stop } = await inletOf(t)
  const files = async () => {
    stop.abort(new GatewayError('UNAVAILABLE', 'The connection ended.'))
    return { attachments: [] }
  }
  await t.rejects(receive('hi', { files }), { code: 'UNAVAILABLE' })
  t.strictSame(accepted, [])
})

t.test(
  'commands are understood with an exclamation mark, and help names them as they can be typed',
  async (t) => {
    const { receive, commands, told } = await inletOf(t)
    for (const text of ['!new', '!stop', '!help', '!answer 2', '/answer@gate 2', '/answer'])
      t.match(await receive(text), { reason: 'command' }, text)
    t.strictSame(commands, ['new chat:7:main', 'stop chat:7:main'])
    t.strictSame(
      told.slice(3).map(({ text }) => text),
      ['answered chat:7:main 2', 'answered chat:7:main 2', 'answered chat:7:main '],
    )
    t.match(told[2], { text: /^\/answer /m })
    t.match(await receive('!new things'), { accepted: true })
    t.match(await receive('/answer@other 2'), { accepted: true })
  },
)

t.test('in a group an answer needs no mention while something is asked', async (t) => {
  let asks = false
  const questions = { isAsking: () => asks, answer: () => 'done' }
  const { receive } = await inletOf(t, {}, { questions })
  const group = { group: true }
  t.match(await receive('!answer 1', group), { reason: 'not_mentioned' })
  asks = true
  t.match(await receive('!answer 1', group), { reason: 'command' })
  t.match(await receive('/answer@other 1', group), { reason: 'not_mentioned' })
})
