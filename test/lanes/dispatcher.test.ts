import t from 'tap'
import { Refusal } from '../../src/lanes/admission.js'
import { type DispatcherOptions, LaneDispatcher } from '../../src/lanes/dispatcher.js'
import type { Lane, Task } from '../../src/lanes/lane.js'
import type { Sender } from '../../src/lanes/ready-list.js'
import { GatewayError } from '../../src/protocol/errors.js'
import fc from '../helpers/properties.js'

class TestTask implements Task {
  next: Task | null = null
  readonly bytes = 1
  constructor(
    readonly key: string,
    readonly name: string,
    readonly rank: Task['rank'] = 0,
    readonly sender: Sender | null = null,
  ) {}
}

/** What nobody in particular sends. */
const place = (bytes = 1) => ({ bytes, sender: null })

/** A dispatcher whose runs end when the test says so. */
function setUp(limits: Partial<DispatcherOptions<TestTask>> = {}) {
  const running: { task: TestTask; lane: Lane<TestTask> }[] = []
  const started: string[] = []
  const full: string[] = []
  const dispatcher = new LaneDispatcher<TestTask>({
    capacity: 100,
    maxPending: 1000,
    maxPendingBytes: 1000,
    concurrency: 10,
    ...limits,
    run: (task, lane) => {
      started.push(task.name)
      running.push({ task, lane })
    },
    onFull: (key) => full.push(key),
  })
  const send = (key: string, name: string, rank: Task['rank'] = 0, from?: string) => {
    const task = new TestTask(key, name, rank, from === undefined ? null : dispatcher.sender(from))
    dispatcher.enqueue(dispatcher.admit(key, task), task)
  }
  const finish = (name: string) => {
    const index = running.findIndex(({ task }) => task.name === name)
    const [{ lane }] = running.splice(index, 1) as [(typeof running)[number]]
    dispatcher.done(lane)
  }
  return { dispatcher, running, started, full, send, finish }
}

/** The refusal that `admit` throws, as it stands. */
function refuse(dispatcher: LaneDispatcher<TestTask>, key: string): Refusal {
  try {
    dispatcher.admit(key, place())
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    dispatcher.refused(error)
    return error
  }
  throw new Error('expected a refusal')
}

/** The reason of the refusal that `action` meets. */
function refusalOf(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    if (error instanceof GatewayError) return (error.details as { reason: string }).reason
    throw error
  }
  return null
}

t.test('a lane runs one task at a time, in order', async (t) => {
  const { send, finish, started } = setUp()
  for (const name of ['a', 'b', 'c']) send('lane', name)
  t.same(started, ['a'])
  finish('a')
  t.same(started, ['a', 'b'])
  finish('b')
  finish('c')
  t.same(started, ['a', 'b', 'c'])
})

t.test('more urgent classes go first, and the order within each stays', async (t) => {
  const { send, finish, started } = setUp()
  send('lane', 'running')
  send('lane', 'cron1', 2)
  send('lane', 'system1', 1)
  send('lane', 'chat1', 0)
  send('lane', 'cron2', 2)
  send('lane', 'chat2', 0)
  send('lane', 'system2', 1)
  for (const name of ['running', 'chat1', 'chat2', 'system1', 'system2', 'cron1', 'cron2']) finish(name)
  t.same(started, ['running', 'chat1', 'chat2', 'system1', 'system2', 'cron1', 'cron2'])
})

t.test('lanes run side by side up to the concurrency, and take turns', async (t) => {
  const { send, finish, started } = setUp({ concurrency: 2 })
  for (const name of ['a1', 'a2', 'a3']) send('a', name)
  send('b', 'b1')
  send('c', 'c1')
  t.same(started, ['a1', 'b1'])
  finish('a1')
  t.same(started, ['a1', 'b1', 'c1'], 'the lane that just ran waits its turn')
  finish('b1')
  t.same(started, ['a1', 'b1', 'c1', 'a2'])
})

t.test('nothing is kept of a lane without work', async (t) => {
  const { dispatcher, send, finish } = setUp()
  send('a', 'a1')
  const reserved = dispatcher.admit('b', place())
  t.equal(dispatcher.size, 2)
  finish('a1')
  dispatcher.release(reserved, place())
  t.equal(dispatcher.size, 0)
  t.equal(dispatcher.pending, 0)
  t.equal(dispatcher.pendingBytes, 0)
})

t.test('a full lane refuses, says when to come back, and is announced once', async (t) => {
  const { dispatcher, send, finish, full } = setUp({ capacity: 2 })
  for (const name of ['running', 'w1', 'w2']) send('a', name)
  for (let i = 0; i < 3; i++) {
    t.match(refuse(dispatcher, 'a'), {
      code: 'UNAVAILABLE',
      retryable: true,
      details: { reason: 'lane_full' },
    })
  }
  t.same(full, ['a'])
  t.equal(dispatcher.refusals.lane_full, 3)
  send('b', 'other lanes have room')
  finish('running')
  send('a', 'w3')
  refuse(dispatcher, 'a')
  t.same(full, ['a', 'a'], 'announced anew after there was room')
})

t.test('reserved places count: nobody is accepted for whom there is no room', async (t) => {
  const { dispatcher } = setUp({ capacity: 2 })
  const first = dispatcher.admit('a', place())
  dispatcher.admit('a', place())
  t.throws(() => dispatcher.admit('a', place()), { code: 'UNAVAILABLE' })
  dispatcher.release(first, place())
  t.doesNotThrow(() => dispatcher.admit('a', place()))
})

t.test('the whole is bounded in number and in bytes', async (t) => {
  const byNumber = setUp({ maxPending: 2 }).dispatcher
  byNumber.admit('a', place())
  byNumber.admit('b', place())
  t.equal(
    refusalOf(() => byNumber.admit('c', place())),
    'gateway_full',
  )
  const byBytes = setUp({ maxPendingBytes: 10 }).dispatcher
  byBytes.admit('a', place(8))
  t.equal(
    refusalOf(() => byBytes.admit('b', place(3))),
    'gateway_full',
  )
  t.doesNotThrow(() => byBytes.admit('b', place(2)))
})

t.test('a refusal that does not stand is neither counted nor announced', async (t) => {
  const { dispatcher, send, full } = setUp({ capacity: 1 })
  for (const name of ['running', 'w1']) send('a', name)
  t.throws(() => dispatcher.admit('a', place()), { code: 'UNAVAILABLE' })
  t.equal(dispatcher.refusals.lane_full, 0)
  t.same(full, [])
})

t.test('one sender has a share of the room, in number and in bytes; the others have the rest', async (t) => {
  const { dispatcher, send, finish } = setUp({ maxPending: 10, maxPendingPerPrincipal: 3 })
  for (const name of ['a1', 'a2', 'b1']) send(name.slice(0, 1), name, 0, 'flood')
  const next = { bytes: 1, sender: dispatcher.sender('flood') }
  t.throws(() => dispatcher.admit('c', next), {
    code: 'RATE_LIMITED',
    retryable: true,
    details: { reason: 'principal_full' },
  })
  t.doesNotThrow(() => send('a', 'polite', 0, 'polite'), 'in the very lane of the other')
  finish('a1')
  t.doesNotThrow(() => dispatcher.admit('c', next), 'there is room again when one has ended')

  const bytes = setUp({ maxPendingBytes: 100, maxPendingBytesPerPrincipal: 10 }).dispatcher
  const sender = bytes.sender('flood')
  const lane = bytes.admit('a', { bytes: 50, sender })
  const refusal = () => refusalOf(() => bytes.admit('b', { bytes: 1, sender }))
  t.equal(refusal(), 'principal_full', 'a large one alone is let in, and nothing beside it')
  bytes.release(lane, { bytes: 50, sender })
  bytes.admit('b', { bytes: 9, sender: bytes.sender('flood') })
  bytes.admit('b', { bytes: 1, sender: bytes.sender('flood') })
  t.equal(
    refusalOf(() => bytes.admit('b', { bytes: 1, sender: bytes.sender('flood') })),
    'principal_full',
  )
})

t.test('the share is half of the whole unless it is set', async (t) => {
  const { dispatcher, send } = setUp({ maxPending: 4 })
  for (const name of ['a', 'b']) send(name, name, 0, 'flood')
  t.equal(
    refusalOf(() => send('c', 'c', 0, 'flood')),
    'principal_full',
  )
  for (const name of ['d', 'e']) send(name, name, 0, 'other')
  t.equal(
    refusalOf(() => send('f', 'f', 0, 'third')),
    'gateway_full',
  )
  t.equal(dispatcher.pending, 4)
})

t.test('what was accepted before the start is nobody’s', async (t) => {
  const { dispatcher, send } = setUp({ maxPendingPerPrincipal: 1 })
  dispatcher.restore([
    ['a', new TestTask('a', 'a1')],
    ['b', new TestTask('b', 'b1')],
  ])
  t.doesNotThrow(() => send('a', 'a2', 0, 'someone'))
})

t.test('senders take turns: over however many lanes one floods, another waits for one task', async (t) => {
  const { send, finish, started } = setUp({ concurrency: 1 })
  for (let i = 0; i < 5; i++) send(`flood${i}`, `f${i}`, 0, 'flood')
  send('polite', 'p1', 0, 'polite')
  send('polite', 'p2', 0, 'polite')
  for (const name of ['f0', 'f1', 'p1', 'f2', 'p2', 'f3']) finish(name)
  t.same(started, ['f0', 'f1', 'p1', 'f2', 'p2', 'f3', 'f4'])
})

t.test('past the memory’s watermark nothing new is taken, and what waits goes on', async (t) => {
  let over = false
  const { dispatcher, send, finish, started } = setUp({ hasMemory: () => !over })
  send('a', 'a1')
  send('a', 'a2')
  over = true
  const refusal = refuse(dispatcher, 'b')
  t.match(refusal, { code: 'UNAVAILABLE', retryable: true, details: { reason: 'memory' } })
  t.ok(refusal.retryAfterMs! >= 1_000)
  t.equal(dispatcher.refusals.memory, 1)
  finish('a1')
  t.same(started, ['a1', 'a2'])
  over = false
  t.doesNotThrow(() => send('b', 'b1'))
})

t.test('a parked task gives its place away and its lane stands still until it goes on', async (t) => {
  const { dispatcher, send, finish, running, started } = setUp({ concurrency: 1 })
  send('a', 'a1')
  send('a', 'a2')
  send('b', 'b1')
  const { lane } = running.shift()!
  dispatcher.park(lane)
  t.same(started, ['a1', 'b1'])
  finish('b1')
  t.same(started, ['a1', 'b1'], 'a2 does not overtake a1')
  dispatcher.unpark(lane)
  t.same(started, ['a1', 'b1', 'a1'])
  dispatcher.park(lane)
  running.length = 0
  dispatcher.done(lane)
  t.same(started, ['a1', 'b1', 'a1', 'a2'], 'a parked task may end, too')
})

t.test('a task that is parked again on its way back does not start, and may end', async (t) => {
  const { dispatcher, send, finish, running, started } = setUp({ concurrency: 1 })
  send('a', 'a1')
  send('a', 'a2')
  send('b', 'b1')
  const { lane } = running.shift()!
  dispatcher.park(lane)
  dispatcher.unpark(lane)
  t.equal(lane.state, 'resuming', 'it waits for a place')
  dispatcher.park(lane)
  finish('b1')
  t.same(started, ['a1', 'b1'])
  dispatcher.done(lane)
  t.same(started, ['a1', 'b1', 'a2'])
  t.equal(dispatcher.running, 1)
})

t.test('what is restored starts when all of it is in, the most urgent first, room or not', async (t) => {
  const { dispatcher, started, finish } = setUp({ capacity: 1, maxPending: 1 })
  dispatcher.restore([
    ['a', new TestTask('a', 'cron', 2)],
    ['a', new TestTask('a', 'chat', 0)],
    ['b', new TestTask('b', 'other', 1)],
  ])
  t.same(started, ['chat', 'other'])
  t.equal(dispatcher.pending, 3)
  finish('chat')
  t.same(started, ['chat', 'other', 'cron'])
})

t.test('a task that was taken out keeps its place until it is given back', async (t) => {
  const { dispatcher, send, finish } = setUp({ capacity: 2 })
  for (const name of ['a1', 'a2', 'a3']) send('a', name)
  const lane = dispatcher.lane('a')!
  const [removed] = dispatcher.remove(lane, ({ name }) => name === 'a2')
  t.throws(() => dispatcher.admit('a', place()), { code: 'UNAVAILABLE' })
  finish('a1')
  finish('a3')
  t.equal(dispatcher.lane('a'), lane, 'the lane stays as long')
  dispatcher.release(lane, removed!)
  t.equal(dispatcher.size, 0)
  t.equal(dispatcher.pending, 0)
})

t.test('a paused lane lets its task end and starts no other until it is resumed', async (t) => {
  const { dispatcher, send, finish, started } = setUp()
  send('a', 'a1')
  dispatcher.pause('a')
  send('a', 'a2')
  finish('a1')
  t.same(started, ['a1'])
  dispatcher.resume('a')
  t.same(started, ['a1', 'a2'])
  finish('a2')
  dispatcher.pause('idle')
  t.equal(dispatcher.size, 1, 'a paused lane is remembered')
  dispatcher.resume('idle')
  t.equal(dispatcher.size, 0)
})

t.test('stopping refuses new tasks, starts no waiting one and resolves when none runs', async (t) => {
  const { dispatcher, send, finish, started } = setUp()
  send('a', 'a1')
  send('a', 'a2')
  const stopped = dispatcher.stop()
  t.equal(
    refusalOf(() => dispatcher.admit('b', place())),
    'stopping',
  )
  finish('a1')
  await stopped
  await dispatcher.stop()
  t.same(started, ['a1'])
})

t.test('tasks that end at once do not pile up on the stack', async (t) => {
  let runs = 0
  const dispatcher: LaneDispatcher<TestTask> = new LaneDispatcher<TestTask>({
    capacity: 1e6,
    maxPending: 1e6,
    maxPendingBytes: 1e9,
    concurrency: 1,
    run: (_task, lane) => {
      runs++
      dispatcher.done(lane)
    },
  })
  dispatcher.pause('a')
  for (let i = 0; i < 100_000; i++)
    dispatcher.enqueue(dispatcher.admit('a', place()), new TestTask('a', String(i)))
  dispatcher.resume('a')
  t.equal(runs, 100_000)
  t.equal(dispatcher.size, 0)
})

type Op =
  | { op: 'send'; lane: number; rank: 0 | 1 | 2; from: string | undefined }
  | { op: 'finish' | 'park' | 'unpark'; pick: number }
  | { op: 'pause' | 'resume' | 'remove'; lane: number }

const lane = fc.nat(3)
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('send' as const),
      lane,
      rank: fc.constantFrom(0, 1, 2),
      from: fc.constantFrom('one', 'two', undefined),
    }) as fc.Arbitrary<Op>,
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constantFrom('finish' as const, 'park' as const, 'unpark' as const),
      pick: fc.nat(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constantFrom('pause' as const, 'resume' as const, 'remove' as const),
      lane,
    }),
  },
)

t.test(
  'whatever happens: order within a lane and class, one at a time, nothing lost, nothing twice',
  async (t) => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 200 }), fc.integer({ min: 1, max: 3 }), (ops, concurrency) => {
        const limits = { concurrency, capacity: 10, maxPendingPerPrincipal: 8 }
        const { dispatcher, running, started, send } = setUp(limits)
        const parked: (typeof running)[number][] = []
        const sent: string[] = []
        const ended: string[] = []
        const finish = ({ task, lane }: (typeof running)[number]) => {
          ended.push(task.name)
          dispatcher.done(lane)
        }
        const take = (list: typeof running, pick: number) => list.splice(pick % list.length, 1)[0]!
        for (const step of ops) {
          if (step.op === 'send') {
            const name = `${step.lane}/${step.rank}/${sent.length}`
            try {
              send(`lane${step.lane}`, name, step.rank, step.from)
              sent.push(name)
            } catch (error) {
              if (!(error instanceof GatewayError)) throw error
            }
          } else if (step.op === 'finish' && running.length > 0) finish(take(running, step.pick))
          else if (step.op === 'park' && running.length > 0) {
            const parking = take(running, step.pick)
            parked.push(parking)
            dispatcher.park(parking.lane)
          } else if (step.op === 'unpark' && parked.length > 0)
            dispatcher.unpark(take(parked, step.pick).lane)
          else if (step.op === 'pause') dispatcher.pause(`lane${step.lane}`)
          else if (step.op === 'resume') dispatcher.resume(`lane${step.lane}`)
          else if (step.op === 'remove') {
            const lane = dispatcher.lane(`lane${step.lane}`)
            if (lane === undefined) continue
            for (const task of dispatcher.remove(lane, (task) => task.rank === 2)) {
              ended.push(task.name)
              dispatcher.release(lane, task)
            }
          }
          if (running.length > concurrency) return false
          const busy = [...running, ...parked].map(({ task }) => task.key)
          if (new Set(busy).size !== busy.length) return false
        }
        for (let i = 0; i <= 3; i++) dispatcher.resume(`lane${i}`)
        while (running.length + parked.length > 0) {
          if (parked.length > 0) dispatcher.unpark(parked.shift()!.lane)
          if (running.length > 0) finish(running.shift()!)
        }
        // A parked task starts more than once; its first start is its place in the order.
        const order = [...new Set(started)]
        const inOrder = [0, 1, 2, 3].every((lane) =>
          [0, 1, 2].every((rank) => {
            const mine = order.filter((name) => name.startsWith(`${lane}/${rank}/`))
            return mine.every(
              (name, i) => i === 0 || Number(name.split('/')[2]) > Number(mine[i - 1]!.split('/')[2]),
            )
          }),
        )
        const all = [...ended].sort().join() === [...sent].sort().join()
        const senders = ['one', 'two'].map((name) => dispatcher.sender(name))
        const left = [dispatcher, ...senders].map(({ pending }) => pending)
        const bytes = [dispatcher.pendingBytes, ...senders.map((sender) => sender.pendingBytes)]
        return inOrder && all && dispatcher.size === 0 && [...left, ...bytes].every((count) => count === 0)
      }),
      { numRuns: 500 },
    )
    t.pass()
  },
)
