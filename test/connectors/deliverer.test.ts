import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Deliverer, type DelivererOptions } from '../../src/connectors/deliverer.js'
import { deliveryHealth } from '../../src/connectors/delivery-health.js'
import type { GroupedJournal } from '../../src/journal/grouped-journal.js'
import { GatewayError } from '../../src/protocol/errors.js'
import { sampleDelivery } from '../../src/testing/journal-samples.js'
import { ScriptedChannel, silence } from '../helpers/scripted-channel.js'
import { until } from '../helpers/until.js'
import { memoryLog, openTestJournal, temporaryFolder } from '../journal/helpers.js'

const signal = AbortSignal.timeout(60_000)

interface Setup {
  readonly journal: GroupedJournal
  readonly deliverer: Deliverer
  readonly channel: ScriptedChannel
  readonly log: ReturnType<typeof memoryLog>
  readonly observed: [string, string][]
  readonly events: { event: string; payload: Record<string, unknown> }[]
}

/** A deliverer over a real journal and a channel named `chat`; it has recovered. */
async function setUp(
  t: Test,
  overrides: Partial<Omit<DelivererOptions, 'delivery'>> & { delivery?: object } = {},
  journal?: GroupedJournal,
): Promise<Setup> {
  const opened = journal ?? (await openTestJournal(t, join(await temporaryFolder(t), 'journal.db')))
  const log = memoryLog()
  const observed: Setup['observed'] = []
  const events: Setup['events'] = []
  const deliverer = new Deliverer({
    journal: opened,
    broadcaster: {
      broadcast: ({ event, payload }) => void events.push({ event, payload: JSON.parse(payload) }),
    },
    log,
    channels: new Set(['chat']),
    maxPendingDeliveries: 1_000,
    observe: (channel, outcome) => void observed.push([channel, outcome]),
    ...overrides,
    delivery: { attempts: 3, timeoutMs: 10_000, backoffMs: 1, maxBackoffMs: 2, ...overrides.delivery },
  })
  t.teardown(() => deliverer.stop(0))
  const channel = new ScriptedChannel()
  await deliverer.recover()
  deliverer.attach(channel)
  return { journal: opened, deliverer, channel, log, observed, events }
}

const flaky = () => new GatewayError('UNAVAILABLE', 'not now')

t.test('what is to be said is sent in order, part by part, and then forgotten', async (t) => {
  const { journal, deliverer, channel, events, observed } = await setUp(t)
  const attachments = [{ type: 'image/png', url: 'http://x/y.png' }]
  const content = { text: 'one|two', attachments, runId: 'run_1', replyTo: '7' }
  const first = sampleDelivery('', { thread: 't', content })
  const second = sampleDelivery('three')
  await deliverer.enqueue([first, second])
  await deliverer.wait(second.id, signal)
  const target = { peer: '1', thread: 't' }
  const run = { runId: 'run_1', replyTo: '7' }
  t.strictSame(channel.sent, [
    { target, text: 'one', attachments: [], idempotencyKey: `${first.id}-1`, ...run, part: 1, parts: 2 },
    { target, text: 'two', attachments, idempotencyKey: `${first.id}-2`, ...run, part: 2, parts: 2 },
    {
      target: { peer: '1', thread: null },
      text: 'three',
      attachments: [],
      idempotencyKey: `${second.id}-1`,
      runId: null,
      replyTo: null,
      part: 1,
      parts: 1,
    },
  ])
  t.strictSame(await journal.pendingDeliveries(), [])
  t.equal(deliverer.pending('chat'), 0)
  const where = { channel: 'chat', peer: '1' }
  t.strictSame(events, [
    {
      event: 'delivery.sent',
      payload: { deliveryId: first.id, ...where, runId: 'run_1', messageIds: ['m1', 'm2'] },
    },
    { event: 'delivery.sent', payload: { deliveryId: second.id, ...where, runId: null, messageIds: ['m3'] } },
  ])
  t.strictSame(observed, [
    ['chat', 'delivered'],
    ['chat', 'delivered'],
  ])
})

t.test('a text that gives no part is sent all the same, for its attachments', async (t) => {
  const { deliverer, channel } = await setUp(t)
  channel.split = () => []
  const content = { text: '', attachments: [{ type: 'image/png', data: 'eA==' }] }
  const delivery = sampleDelivery('', { content })
  await deliverer.enqueue([delivery])
  await deliverer.wait(delivery.id, signal)
  t.match(channel.sent, [{ text: '', attachments: content.attachments, part: 1, parts: 1 }])
})

t.test('nothing is tried while the channel is not ready, and all of it once it is', async (t) => {
  const { deliverer, channel, observed } = await setUp(t)
  channel.ready = false
  const deliveries = ['a', 'b|c', 'd'].map((text) => sampleDelivery(text))
  await deliverer.enqueue(deliveries)
  t.equal(deliverer.pending('chat'), 3)
  channel.ready = true
  channel.onSend = ({ text }) => {
    if (text === 'b') channel.ready = false
  }
  deliverer.ready('chat')
  await channel.took(2)
  await until(() => observed.length === 1)
  t.strictSame(channel.texts, ['a', 'b'], 'it stops between two parts')
  t.equal(deliverer.pending('chat'), 2)
  channel.ready = true
  deliverer.ready('chat')
  await deliverer.wait(deliveries[2]!.id, signal)
  t.strictSame(channel.texts, ['a', 'b', 'c', 'd'])
  t.strictSame(
    observed.map(([, outcome]) => outcome),
    ['delivered', 'delivered', 'delivered'],
  )
})

t.test('one peer waits for no other, up to as many at a time as the channel takes', async (t) => {
  const { deliverer, channel } = await setUp(t)
  channel.concurrency = 2
  const release = new Map<string, () => void>()
  let most = 0
  channel.onSend = ({ target, text }) =>
    new Promise<void>((resolve) => {
      most = Math.max(most, release.size + 1)
      t.notOk(release.has(target.peer), 'one at a time for a peer')
      release.set(target.peer, () => {
        release.delete(target.peer)
        resolve()
      })
      if (text !== 'stuck') release.get(target.peer)!()
    })
  const stuck = sampleDelivery('stuck')
  const behind = sampleDelivery('behind')
  const others = ['2', '3', '2', '3'].map((peer, n) => sampleDelivery(`${peer} ${n}`, { peer }))
  await deliverer.enqueue([stuck, behind, ...others])
  await Promise.all(others.map(({ id }) => deliverer.wait(id, signal)))
  t.strictSame(channel.texts, ['2 0', '3 1', '2 2', '3 3'], 'in turn')
  release.get('1')!()
  await deliverer.wait(behind.id, signal)
  t.strictSame(channel.texts.slice(4), ['stuck', 'behind'])
  t.equal(most, 2)
})

t.test(
  'what failed is tried again from the part that failed, before anything else for the peer',
  async (t) => {
    const { deliverer, channel, observed, log } = await setUp(t)
    let failures = 2
    channel.onSend = ({ text }) => {
      if (text === 'b' && failures-- > 0) throw failures === 1 ? flaky() : new Error('socket hang up')
    }
    const deliveries = ['a|b|c', 'd'].map((text) => sampleDelivery(text))
    await deliverer.enqueue(deliveries)
    await deliverer.wait(deliveries[1]!.id, signal)
    t.strictSame(channel.texts, ['a', 'b', 'c', 'd'])
    t.strictSame(
      channel.asked.map(({ idempotencyKey }) => idempotencyKey.replace(/.*-/, '')),
      ['1', '2', '2', '2', '3', '1'],
      'a part has one key at all its tries',
    )
    t.strictSame(
      observed.map(([, outcome]) => outcome),
      ['retried', 'retried', 'delivered', 'delivered'],
    )
    t.match(
      log.lines.filter(({ level }) => level === 'warn'),
      [
        { fields: { channel: 'chat', attempt: 1, code: 'UNAVAILABLE', cause: 'not now' } },
        { fields: { attempt: 2, code: 'INTERNAL_ERROR', cause: 'socket hang up' } },
      ],
    )
  },
)

t.test('what is refused for good, or failed too often, is a dead letter, and the next goes on', async (t) => {
  const { journal, deliverer, channel, observed } = await setUp(t)
  channel.onSend = ({ text }) => {
    if (text === 'gone') throw new GatewayError('NOT_FOUND', 'no such chat')
    if (text === 'flaky') throw flaky()
  }
  const deliveries = ['x|gone', 'flaky', 'next'].map((text) => sampleDelivery(text))
  const [gone, failing, next] = deliveries
  await deliverer.enqueue(deliveries)
  await t.rejects(deliverer.wait(gone!.id, signal), { code: 'NOT_FOUND', message: 'no such chat' })
  await t.rejects(deliverer.wait(failing!.id, signal), { code: 'UNAVAILABLE' })
  await deliverer.wait(next!.id, signal)
  t.strictSame(channel.texts, ['x', 'next'])
  const dead = await journal.deadDeliveries({ limit: 10 })
  t.match(dead, [
    { id: gone!.id, partsSent: 1, attempts: 1, error: { code: 'NOT_FOUND' } },
    { id: failing!.id, partsSent: 0, attempts: 3, error: { code: 'UNAVAILABLE' } },
  ])
  const entries = await journal.replay(0, journal.head, 10)
  t.match(
    entries.map(({ event, sessionKey, payload }) => ({ event, sessionKey, payload: JSON.parse(payload) })),
    [
      {
        event: 'delivery.failed',
        sessionKey: gone!.sessionKey,
        payload: { deliveryId: gone!.id, channel: 'chat', peer: '1', runId: null, attempts: 1 },
      },
      { event: 'delivery.failed', payload: { deliveryId: failing!.id, error: { code: 'UNAVAILABLE' } } },
    ],
  )
  t.strictSame(
    observed.map(([, outcome]) => outcome),
    ['dead', 'retried', 'retried', 'dead', 'delivered'],
  )
  await t.rejects(deliverer.wait(gone!.id, signal), { code: 'NOT_FOUND' }, 'known later on, too')
})

t.test('a dead delivery that is retried goes on from its parts, behind what waits', async (t) => {
  const { journal, deliverer, channel } = await setUp(t)
  channel.onSend = ({ text }) => {
    if (text === 'b') throw new GatewayError('FORBIDDEN', 'no')
  }
  const dead = sampleDelivery('a|b')
  await deliverer.enqueue([dead])
  await t.rejects(deliverer.wait(dead.id, signal), { code: 'FORBIDDEN' })
  channel.ready = false
  channel.onSend = () => {}
  const waiting = sampleDelivery('waiting')
  await deliverer.enqueue([waiting])
  t.equal(await deliverer.retry({ id: dead.id, channel: 'chat' }), 1)
  t.equal(await deliverer.retry({ id: dead.id, channel: 'chat' }), null)
  await t.rejects(deliverer.retry({ id: dead.id, channel: 'other' }), { code: 'NOT_LINKED' })
  channel.ready = true
  deliverer.ready('chat')
  await deliverer.wait(dead.id, signal)
  t.strictSame(channel.texts, ['a', 'waiting', 'b'])
  t.strictSame(await journal.deadDeliveries({ limit: 1 }), [])
})

t.test(
  'a platform that asks for patience is given it by the whole channel, and it costs no try',
  async (t) => {
    const { deliverer, channel, observed } = await setUp(t, { delivery: { attempts: 2 } })
    let limits = 5
    let until = 0
    channel.onSend = () => {
      t.ok(performance.now() >= until, 'nothing is tried before')
      if (limits-- <= 0) return
      until = performance.now() + 20
      // A timer may go off a little early.
      throw new GatewayError('RATE_LIMITED', 'slow down', { retryAfterMs: 25 })
    }
    channel.concurrency = 1
    const deliveries = ['1', '2', '3'].map((peer) => sampleDelivery(peer, { peer }))
    await deliverer.enqueue(deliveries)
    await Promise.all(deliveries.map(({ id }) => deliverer.wait(id, signal)))
    t.strictSame(channel.texts, ['1', '2', '3'])
    t.equal(observed.filter(([, outcome]) => outcome === 'retried').length, 5)
  },
)

t.test('any other failure holds only its peer back, as long as the platform says', async (t) => {
  const { deliverer, channel } = await setUp(t)
  let failed = false
  channel.onSend = ({ target }) => {
    if (target.peer !== '1' || failed) return
    failed = true
    throw new GatewayError('UNAVAILABLE', 'not now', { retryAfterMs: 60_000 })
  }
  const held = sampleDelivery('held')
  const other = sampleDelivery('other', { peer: '2' })
  await deliverer.enqueue([held, other])
  await deliverer.wait(other.id, signal)
  t.strictSame(channel.texts, ['other'])
  t.equal(deliverer.pending('chat'), 1)
})

t.test('a platform that says nothing has only so much time for a part', async (t) => {
  const { deliverer, channel } = await setUp(t, { delivery: { timeoutMs: 20, attempts: 2 } })
  channel.onSend = silence
  const heeding = sampleDelivery('heeding')
  await deliverer.enqueue([heeding])
  await t.rejects(deliverer.wait(heeding.id, signal), { code: 'UNAVAILABLE', message: /within 20 ms/ })
  channel.onSend = () => new Promise(() => {})
  const deaf = sampleDelivery('deaf')
  await deliverer.enqueue([deaf])
  await t.rejects(deliverer.wait(deaf.id, signal), { code: 'UNAVAILABLE', message: /within 20 ms/ })
  channel.onSend = async (_part, signal) => {
    while (!signal.aborted) await sleep(5)
  }
  const late = sampleDelivery('late')
  await deliverer.enqueue([late])
  await deliverer.wait(late.id, signal)
  t.strictSame(channel.texts, ['late'], 'what was taken in the last moment is not sent again')
})

t.test('a full channel takes no more of what can be refused, but all answers', async (t) => {
  const { journal, deliverer, channel } = await setUp(t, { maxPendingDeliveries: 2 })
  channel.ready = false
  const fill = [sampleDelivery('1'), sampleDelivery('2')]
  t.equal(deliverer.hasRoom('chat'), true)
  await deliverer.enqueue(fill)
  t.equal(deliverer.hasRoom('chat'), false)
  t.match(deliveryHealth(deliverer), { status: 'degraded', message: 'full: chat' })
  const refused = { code: 'UNAVAILABLE', retryable: true, retryAfterMs: Number }
  await t.rejects(deliverer.enqueue([sampleDelivery('no')]), refused)
  t.equal((await journal.pendingDeliveries()).length, 2)
  const answer = sampleDelivery('answer')
  await journal.enqueue([answer])
  deliverer.add([answer])
  t.equal(deliverer.pending('chat'), 3)
  channel.ready = true
  deliverer.ready('chat')
  await deliverer.wait(answer.id, signal)
  t.strictSame(channel.texts, ['1', '2', 'answer'])
  t.equal(deliverer.hasRoom('chat'), true)
  t.strictSame(deliveryHealth(deliverer), { status: 'ok' })
})

t.test('nothing is taken for a channel that there is not', async (t) => {
  const { deliverer, journal } = await setUp(t)
  const elsewhere = sampleDelivery('x', { channel: 'other' })
  await t.rejects(deliverer.enqueue([elsewhere]), { code: 'NOT_FOUND' })
  t.strictSame(await journal.pendingDeliveries(), [])
  t.equal(deliverer.isChannel('other'), false)
  deliverer.attach(new ScriptedChannel('other'))
  t.equal(deliverer.isChannel('other'), true)
  deliverer.detach('other')
  t.equal(deliverer.isChannel('other'), false)
  t.equal(deliverer.isChannel('chat'), true)
})

t.test(
  'after a restart it goes on where it was; what is for unknown channels waits and is told',
  async (t) => {
    const journal = await openTestJournal(t, join(await temporaryFolder(t), 'journal.db'))
    const deliveries = [sampleDelivery('a|b|c'), sampleDelivery('d')]
    const lost = sampleDelivery('lost', { channel: 'former' })
    await journal.enqueue([...deliveries, lost])
    await journal.partsSent(deliveries[0]!.id, 2)
    const { deliverer, channel, log } = await setUp(t, {}, journal)
    await deliverer.wait(deliveries[1]!.id, signal)
    t.strictSame(channel.texts, ['c', 'd'])
    t.match(
      log.lines.filter(({ level }) => level === 'warn'),
      [{ fields: { channel: 'former', deliveries: 1 } }],
    )
    t.match(deliveryHealth(deliverer), { status: 'degraded', message: /not configured: former \(1\)/ })
    t.strictSame([...deliverer.waiting()], [{ channel: 'chat', deliveries: 0 }])
    t.match(await journal.delivery(lost.id), { id: lost.id })
  },
)

t.test('what is accepted while it recovers is sent once, behind what was there', async (t) => {
  const journal = await openTestJournal(t, join(await temporaryFolder(t), 'journal.db'))
  const before = sampleDelivery('before')
  await journal.enqueue([before])
  const deliverer = new Deliverer({
    journal,
    broadcaster: { broadcast: () => {} },
    log: memoryLog(),
    channels: new Set(['chat']),
    maxPendingDeliveries: 10,
    observe: () => {},
    delivery: { attempts: 1, timeoutMs: 1_000, backoffMs: 1, maxBackoffMs: 1 },
  })
  t.teardown(() => deliverer.stop(0))
  const channel = new ScriptedChannel()
  deliverer.attach(channel)
  const early = sampleDelivery('early')
  await deliverer.enqueue([early])
  const [recovered] = await Promise.all([deliverer.recover(), deliverer.enqueue([sampleDelivery('late')])])
  t.equal(recovered, 2)
  await channel.took(3)
  await until(() => deliverer.pending('chat') === 0)
  t.strictSame(channel.texts, ['before', 'early', 'late'])
})

t.test('a journal that cannot write now loses nothing and doubles nothing', async (t) => {
  const journal = await openTestJournal(t, join(await temporaryFolder(t), 'journal.db'))
  const failing = (name: 'delivery' | 'partsSent' | 'delivered' | 'undeliverable') => {
    const real = journal[name].bind(journal) as (...args: unknown[]) => Promise<unknown>
    let failures = 1
    Object.defineProperty(journal, name, {
      value: async (...args: unknown[]) => {
        if (failures-- > 0) throw new GatewayError('UNAVAILABLE', 'disk')
        return real(...args)
      },
    })
  }
  const { deliverer, channel } = await setUp(t, {}, journal)
  for (const name of ['delivery', 'partsSent', 'delivered', 'undeliverable'] as const) failing(name)
  channel.onSend = ({ text }) => {
    if (text === 'dead') throw new GatewayError('NOT_FOUND', 'no')
  }
  const deliveries = ['a|b', 'dead', 'c'].map((text) => sampleDelivery(text))
  await deliverer.enqueue(deliveries)
  await until(() => deliverer.pending('chat') === 0)
  t.strictSame(channel.texts, ['a', 'b', 'c'])
  t.equal(channel.asked.length, 4)
  t.strictSame(
    (await journal.deadDeliveries({ limit: 5 })).map(({ id }) => id),
    [deliveries[1]!.id],
  )
})

t.test('a wait ends with its signal', async (t) => {
  const { deliverer, channel } = await setUp(t)
  channel.ready = false
  const delivery = sampleDelivery('a')
  await deliverer.enqueue([delivery])
  const controller = new AbortController()
  const waiting = deliverer.wait(delivery.id, controller.signal)
  controller.abort(new GatewayError('CANCELLED', 'enough'))
  await t.rejects(waiting, { code: 'CANCELLED' })
  await t.rejects(deliverer.wait(delivery.id, controller.signal), { code: 'CANCELLED' })
})

t.test('a stop lets what is being sent end, and begins nothing', async (t) => {
  const { journal, deliverer, channel } = await setUp(t)
  let release = () => {}
  channel.onSend = () =>
    new Promise<void>((resolve) => {
      release = resolve
    })
  const deliveries = ['a|b', 'c'].map((text) => sampleDelivery(text))
  await deliverer.enqueue(deliveries)
  await channel.wasAsked(1)
  const stopped = deliverer.stop(60_000)
  release()
  await Promise.all([stopped, deliverer.stop(0)])
  t.strictSame(channel.texts, ['a'])
  t.match(await journal.delivery(deliveries[0]!.id), { partsSent: 1 })
  deliverer.ready('chat')
  deliverer.attach(new ScriptedChannel())
  await deliverer.enqueue([sampleDelivery('later')])
  t.equal(channel.asked.length, 1)
  t.equal((await journal.pendingDeliveries()).length, 3)
})

t.test('a stop aborts what takes too long, and leaves it in the journal', async (t) => {
  const { journal, deliverer, channel, observed } = await setUp(t)
  channel.onSend = silence
  const delivery = sampleDelivery('a')
  await deliverer.enqueue([delivery, sampleDelivery('b', { peer: '2' })])
  await channel.wasAsked(2)
  await deliverer.stop(1)
  t.equal((await journal.pendingDeliveries()).length, 2)
  t.strictSame(observed, [], 'and it counts as no try')
})
