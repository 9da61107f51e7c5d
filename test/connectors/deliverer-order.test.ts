import { join } from 'node:path'
import t from 'tap'
import { Deliverer } from '../../src/connectors/deliverer.js'
import type { Journal } from '../../src/journal/journal.js'
import { createMemoryJournal } from '../../src/journal/memory.js'
import type { NewDelivery } from '../../src/journal/outbox.js'
import { openSqliteJournal } from '../../src/journal/sqlite.js'
import { GatewayError } from '../../src/protocol/errors.js'
import { sampleDelivery } from '../../src/testing/journal-samples.js'
import fc from '../helpers/properties.js'
import { ScriptedChannel, silence } from '../helpers/scripted-channel.js'
import { until } from '../helpers/until.js'
import { journalOptions, memoryLog, temporaryFolder } from '../journal/helpers.js'

/** What happens to one part that is sent; `taken`: the platform has it, and the answer is lost. */
const FATES = [
  'ok',
  'ok',
  'ok',
  'unavailable',
  'thrown',
  'limited',
  'taken',
  'lost',
  'silent',
  'refused',
] as const
type Fate = (typeof FATES)[number]

type Step =
  | { readonly do: 'enqueue'; readonly peer: string; readonly parts: number }
  | { readonly do: 'restart' }
  | { readonly do: 'pause' }

interface History {
  readonly steps: readonly Step[]
  readonly fates: readonly Fate[]
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      peer: fc.constantFrom('1', '2', '3'),
      parts: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const) }) },
)

const history: fc.Arbitrary<History> = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 25 }),
  fates: fc.array(fc.constantFrom(...FATES), { maxLength: 60 }),
})

class World {
  readonly channel = new ScriptedChannel()
  readonly accepted: NewDelivery[] = []
  /** What the platform has, as peer and key of each part. */
  readonly taken: [string, string][] = []
  deliverer!: Deliverer
  readonly #fates: Fate[]

  constructor(
    readonly journal: Journal,
    fates: readonly Fate[],
  ) {
    this.#fates = [...fates]
    this.channel.concurrency = 2
    this.channel.onSend = async ({ target, idempotencyKey }, signal) => {
      const fate = this.#fates.shift() ?? 'ok'
      const take = () => this.taken.push([target.peer, idempotencyKey])
      // Others have their turn in between.
      await new Promise(setImmediate)
      switch (fate) {
        case 'ok':
          return take()
        case 'unavailable':
          throw new GatewayError('UNAVAILABLE', 'not now')
        case 'limited':
          throw new GatewayError('RATE_LIMITED', 'slowly', { retryAfterMs: 1 })
        case 'refused':
          throw new GatewayError('FORBIDDEN', 'no')
        case 'silent':
          return silence(null!, signal)
        case 'lost':
          this.pause()
          throw new Error('connection lost')
        case 'taken':
          take()
          throw new Error('connection lost after all')
        case 'thrown':
          throw new Error('?')
      }
    }
  }

  pause(): void {
    this.channel.ready = false
    setTimeout(() => {
      this.channel.ready = true
      this.deliverer.ready('chat')
    }, 2)
  }

  async start(): Promise<void> {
    await this.deliverer?.stop(0)
    this.deliverer = new Deliverer({
      journal: this.journal,
      broadcaster: { broadcast: () => {} },
      log: memoryLog(),
      channels: new Set(['chat']),
      maxPendingDeliveries: 1_000,
      observe: () => {},
      delivery: { attempts: 1_000, timeoutMs: 5, backoffMs: 1, maxBackoffMs: 2 },
    })
    this.deliverer.attach(this.channel)
    await this.deliverer.recover()
  }

  async take(step: Step): Promise<void> {
    if (step.do === 'restart') return this.start()
    if (step.do === 'pause') return this.pause()
    const { peer, parts } = step
    const text = Array.from({ length: parts }, (_, n) => `${n}`).join('|')
    const delivery = sampleDelivery(text, { peer })
    this.accepted.push(delivery)
    await this.deliverer.enqueue([delivery])
  }

  /** What there is to say against it. */
  async problems(): Promise<string[]> {
    const dead = new Set((await this.journal.deadDeliveries({ limit: 1_000 })).map(({ id }) => id))
    return ['1', '2', '3'].flatMap((peer) => {
      const keys = this.taken.filter(([to]) => to === peer).map(([, key]) => key)
      const once = keys.filter((key, n) => key !== keys[n - 1])
      const expected = this.accepted.filter((delivery) => delivery.peer === peer)
      const order = expected.flatMap(({ id, content }) =>
        content.text.split('|').map((_, n) => `${id}-${n + 1}`),
      )
      const whole = order.filter((key) => !dead.has(key.slice(0, key.lastIndexOf('-'))))
      const inOrder = order.filter((key) => once.includes(key))
      return [
        ...whole.filter((key) => !once.includes(key)).map((key) => `${peer} never got ${key}`),
        ...(once.join() === inOrder.join() ? [] : [`${peer} got ${once} instead of ${inOrder}`]),
      ]
    })
  }
}

const holds = (open: () => Promise<Journal>, numRuns: number) =>
  fc.assert(
    fc.asyncProperty(history, async ({ steps, fates }) => {
      const journal = await open()
      const world = new World(journal, fates)
      try {
        await world.start()
        for (const step of steps) await world.take(step)
        await until(() => world.deliverer.pending('chat') === 0)
        const problems = await world.problems()
        const left = await journal.pendingDeliveries()
        if (problems.length + left.length > 0)
          throw new Error([...problems, `${left.length} left`].join('\n'))
      } finally {
        await world.deliverer.stop(0)
        await journal.close()
      }
    }),
    { numRuns, endOnFailure: true },
  )

t.test('whatever fails, no peer gets anything out of order, and nothing is lost', async (t) => {
  t.test('in memory', () => holds(async () => createMemoryJournal(journalOptions()), 100))
  t.test('on disk', async (t) => {
    const folder = await temporaryFolder(t)
    let count = 0
    const open = () => openSqliteJournal({ ...journalOptions(), path: join(folder, `${count++}.db`) })
    await holds(open, 10)
  })
})
