import t from 'tap'
import type { WorkerPool } from '../../../src/agents/worker/pool.js'
import type { WorkerLink } from '../../../src/agents/worker/worker.js'
import { createWorkerAgent } from '../../../src/agents/worker.js'
import { GatewayError } from '../../../src/protocol/errors.js'
import { createTestRun } from '../../../src/testing/agent-suite.js'
import fc from '../../helpers/properties.js'

/** A worker that keeps what it was sent, and everything that it ever had. */
class Peer implements WorkerLink {
  congested = false
  credit = 0
  readonly leases: { lease: string; content: string }[] = []
  readonly cancelled = new Set<string>()
  #onRead = () => {}

  writable(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRead = resolve
    })
  }

  read(): void {
    this.congested = false
    this.#onRead()
  }

  send(event: string, _sessionKey: string, payload: string): void {
    const { lease, event: inbound } = JSON.parse(payload)
    if (event === 'worker.run') this.leases.push({ lease, content: inbound.payload.content })
    else this.cancelled.add(lease)
  }

  held(pool: WorkerPool): { lease: string; content: string }[] {
    return this.leases.filter(({ lease }) => pool.find(this, lease) !== undefined)
  }
}

type Op =
  | { op: 'run' | 'abort' | 'complete' | 'fail' | 'late'; pick: number }
  | { op: 'register'; peer: number; credit: number }
  | { op: 'lose' | 'jam' | 'read'; peer: number }

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('run' as const), pick: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constantFrom(
        'complete' as const,
        'complete' as const,
        'fail' as const,
        'late' as const,
        'abort' as const,
      ),
      pick: fc.nat(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('register' as const), peer: fc.nat(2), credit: fc.nat(3) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constantFrom('lose' as const, 'jam' as const, 'read' as const),
      peer: fc.nat(2),
    }),
  },
)

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A run in the pool, and how it ended. */
interface Running {
  readonly content: string
  readonly control: AbortController
  readonly ends: unknown[]
  readonly settled: Promise<void>
}

function begin(pool: WorkerPool, content: string): Running {
  const control = new AbortController()
  const { event, context } = createTestRun({ content, signal: control.signal })
  const ends: unknown[] = []
  const settled = pool.run(event, context).then(
    (reply) => void ends.push(reply.content),
    (error: unknown) => void ends.push(error),
  )
  return { content, control, ends, settled }
}

t.test(
  'whatever workers do, each run is one worker’s at a time, within its credit, and ends once',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(op, { minLength: 5, maxLength: 60 }), async (steps) => {
        const pool = createWorkerAgent({ maxHandovers: 2 }, { name: 'brain' })
        let peers = [new Peer(), new Peer(), new Peer()]
        const gone: Peer[] = []
        const runs: Running[] = []
        const check = () => {
          const holders = new Map<string, number>()
          for (const peer of peers) {
            const held = peer.held(pool)
            for (const { content } of held) holders.set(content, (holders.get(content) ?? 0) + 1)
          }
          for (const [content, count] of holders) if (count > 1) throw new Error(`${content} is held twice`)
          for (const peer of gone)
            if (peer.held(pool).length > 0) throw new Error('a lost worker holds a run')
        }
        for (const step of steps) {
          if (step.op === 'run') runs.push(begin(pool, `run ${runs.length}`))
          else if (step.op === 'register') {
            const peer = peers[step.peer]!
            // What it has beyond a smaller credit goes on.
            peer.credit = Math.max(step.credit, peer.held(pool).length)
            pool.register(peer, step.credit)
          } else if (step.op === 'lose') {
            const peer = peers[step.peer]!
            pool.unregister(peer)
            gone.push(peer)
            peers = peers.with(step.peer, new Peer())
          } else if (step.op === 'jam') peers[step.peer]!.congested = true
          else if (step.op === 'read') peers[step.peer]!.read()
          else if (step.op === 'abort') runs[step.pick % Math.max(1, runs.length)]?.control.abort()
          else if ('pick' in step) {
            const all = [...peers, ...gone].flatMap((peer) =>
              peer.leases.map((given) => ({ peer, ...given })),
            )
            const given = all[step.pick % Math.max(1, all.length)]
            const run = given && pool.find(given.peer, given.lease)
            if (run !== undefined && step.op === 'complete')
              pool.complete(run, { content: `re: ${given!.content}` })
            else if (run !== undefined && step.op === 'fail')
              pool.fail(run, new GatewayError('UNAVAILABLE', 'no'))
          }
          await turn()
          check()
          for (const peer of peers) {
            if (peer.held(pool).length > peer.credit) throw new Error('more runs than credit')
          }
        }
        // Now everything goes well.
        const last = new Peer()
        for (const peer of peers) pool.unregister(peer)
        pool.register(last, 1_000)
        for (let turns = 0; runs.some(({ ends }) => ends.length === 0); turns++) {
          await turn()
          for (const { lease, content } of last.held(pool)) {
            pool.complete(pool.find(last, lease)!, { content: `re: ${content}` })
          }
          if (turns > 100) throw new Error('a run never ends')
        }
        await Promise.all(runs.map(({ settled }) => settled))
        for (const { content, control, ends } of runs) {
          if (ends.length !== 1) throw new Error(`${content} ended ${ends.length} times`)
          const [end] = ends
          const fits =
            end === `re: ${content}` ||
            (end instanceof GatewayError &&
              (end.code === 'UNAVAILABLE' || (end.code === 'CANCELLED' && control.signal.aborted)))
          if (!fits) throw new Error(`${content} ended with ${end}`)
        }
        if (pool.status.running !== 0) throw new Error('a lease is left over')
        if (pool.free !== 1_000) throw new Error(`credit was lost: ${pool.free}`)
        await pool.close()
        await pool.close()
      }),
      { numRuns: 150, endOnFailure: true },
    )
    t.pass()
  },
)

t.test(
  'the worker with the least of its credit used is next; of several the one that waited longest',
  async (t) => {
    const pool = createWorkerAgent({}, { name: 'brain' })
    t.teardown(() => pool.close())
    const [small, large] = [new Peer(), new Peer()]
    pool.register(small, 1)
    pool.register(large, 4)
    for (let n = 0; n < 5; n++) void begin(pool, `${n}`)
    await turn()
    t.same([small.leases.length, large.leases.length], [1, 4])
    t.equal(pool.free, 0)
  },
)

t.test('who closes it ends what it has', async (t) => {
  const pool = createWorkerAgent({}, { name: 'brain' })
  const peer = new Peer()
  pool.register(peer, 1)
  const [held, waiting] = [begin(pool, 'held'), begin(pool, 'waiting')]
  await turn()
  await pool.close()
  await Promise.all([held.settled, waiting.settled])
  t.match([...held.ends, ...waiting.ends], [{ code: 'UNAVAILABLE' }, { code: 'UNAVAILABLE' }])
  const late = begin(pool, 'late')
  await late.settled
  t.match(late.ends, [{ code: 'UNAVAILABLE' }])
})
