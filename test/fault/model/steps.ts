import { setTimeout as sleep } from 'node:timers/promises'
import { QUEUE_MODES, type QueueMode } from '../../../src/protocol/index.js'
import fc from '../../helpers/properties.js'
import { type Action, actionArbitrary, World, waits } from './actions.js'
import { check } from './check.js'
import { conclude } from './ending.js'
import { explain } from './explain.js'
import type { Ending } from './facts.js'
import { History, type LifeEnd } from './history.js'
import type { Host } from './hosts.js'
import { Observer } from './observer.js'
import { readWitness, SCRIPTS, type Script, type WitnessLine } from './witness.js'

/** A piece of a history. Those that do something come back first where they had left. */
export type Step =
  /** At once, without waiting for each other; the step ends when all are answered. */
  | { step: 'do'; client: number; actions: readonly Action[] }
  | { step: 'leave'; client: number }
  | { step: 'pause'; ms: number }
  /** The gateway ends in the midst of these, and the next one starts. */
  | { step: 'end'; how: LifeEnd; client: number; actions: readonly Action[]; afterMs: number }

/** What a history is made of. */
export interface Story {
  /** Of the session of each lane that is there from the start on; undefined: its first event makes it. */
  readonly modes: readonly (QueueMode | null | undefined)[]
  readonly steps: readonly Step[]
}

const CLIENTS = ['alice', 'bob', 'carol']
const LANES = 3

export function storyArbitrary(ends: readonly LifeEnd[], length: number): fc.Arbitrary<Story> {
  const scripts = Object.keys(SCRIPTS) as Script[]
  const action = actionArbitrary({
    lanes: LANES,
    scripts: ['quick', 'open', 'slow', ...scripts],
    operators: 4,
  })
  const client = fc.nat(CLIENTS.length - 1)
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        step: fc.constant('do' as const),
        client,
        actions: fc.array(action, { minLength: 1, maxLength: 5 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ step: fc.constant('leave' as const), client }) },
    { weight: 4, arbitrary: fc.record({ step: fc.constant('pause' as const), ms: fc.nat(12) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        step: fc.constant('end' as const),
        how: fc.constantFrom(...ends),
        client,
        actions: fc.array(action, { maxLength: 5 }),
        afterMs: fc.nat(12),
      }),
    },
  )
  return fc.record({
    modes: fc.array(fc.constantFrom(undefined, ...QUEUE_MODES), { minLength: LANES, maxLength: LANES }),
    steps: fc.array(step, { minLength: 1, maxLength: length, size: 'max' }),
  })
}

/** All that is known of a story that was lived. */
export interface Record {
  readonly history: History
  readonly witness: readonly WitnessLine[]
  readonly ending: Ending
}

/** Does the steps, lets everything come to its end, and throws what is wrong. */
export async function live(story: Story, hostOf: (history: History) => Promise<Host>): Promise<void> {
  const { history, witness, ending } = await record(story, hostOf)
  const problems = check(history, witness, ending)
  if (problems.length > 0) throw new Error(explain(problems, history, witness, ending))
}

/** Does the steps and lets everything come to its end. */
export async function record(
  { modes, steps }: Story,
  hostOf: (history: History) => Promise<Host>,
): Promise<Record> {
  const history = new History()
  const host = await hostOf(history)
  const world = new World(LANES)
  const clients = CLIENTS.map((name) => new Observer(history, name))
  const waiting: Promise<void>[] = []
  const perform = async (client: Observer, actions: readonly Action[]) => {
    await client.connect(host.wsUrl)
    const done = actions.map((action) => ({ action, ended: world.perform(action, client) }))
    waiting.push(...done.filter(({ action }) => waits(action)).map(({ ended }) => ended))
    await Promise.all(done.filter(({ action }) => !waits(action)).map(({ ended }) => ended))
  }
  const take = async (step: Step) => {
    if (step.step === 'do') return perform(clients[step.client]!, step.actions)
    if (step.step === 'leave') return clients[step.client]!.disconnect()
    if (step.step === 'pause') return sleep(step.ms)
    const performing = perform(clients[step.client]!, step.actions)
    await sleep(step.afterMs)
    await host.end(step.how)
    await performing
    await host.start()
  }
  try {
    await host.start()
    await clients[0]!.connect(host.wsUrl)
    await world.create(modes, clients[0]!)
    for (const step of steps) await take(step)
    await host.end('stopped')
    const ending = await conclude(host, world, clients)
    await Promise.all(waiting)
    return { history, witness: await readWitness(host.home), ending }
  } finally {
    for (const client of clients) await client.disconnect()
    await host.close()
  }
}
