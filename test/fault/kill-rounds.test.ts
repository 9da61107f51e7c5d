import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { QUEUE_MODES } from '../../src/protocol/index.js'
import { temporaryFolder } from '../helpers/app.js'
import { freePort } from '../helpers/free-port.js'
import fc from '../helpers/properties.js'
import { type Action, actionArbitrary, World, waits } from './model/actions.js'
import { check } from './model/check.js'
import { conclude } from './model/ending.js'
import { explain } from './model/explain.js'
import { History } from './model/history.js'
import { ProcessHost } from './model/hosts.js'
import { LibraryClient } from './model/library-client.js'
import { Observer } from './model/observer.js'
import { keptSeeds, runsOf, seedOfRun } from './model/runs.js'
import { readWitness } from './model/witness.js'

/** Sessions at a time. Some are left behind in each round: one whose event was cut off too often is given a pause. */
const LANES = 8
const LEFT_BEHIND = 2
const ROUNDS = 32
const EARLY_MS = 20
/** Each of a client's workers waits for its answers, as a person would. */
const WORKERS = 4

interface Round {
  /** Null: when it has served for a while. */
  readonly killedInStartAfterMs: number | null
  readonly servesMs: number
  /** What the clients do, again and again until the kill. */
  readonly actions: readonly Action[]
  readonly pauses: readonly number[]
}

const action = actionArbitrary({
  lanes: LANES,
  scripts: ['quick', 'quick', 'slow', 'slow', 'open', 'streamed', 'flaky', 'broken', 'dead'],
  operators: 3,
})

const round: fc.Arbitrary<Round> = fc.record({
  // A start takes about 700 ms, of which the last part opens the journal and takes up the work again.
  killedInStartAfterMs: fc.oneof(
    { weight: 5, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 900 }) },
  ),
  servesMs: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: EARLY_MS + 1, max: 300 }) },
    // Another kill soon after the one before: in the midst of taking up the work again.
    { weight: 2, arbitrary: fc.nat(EARLY_MS) },
  ),
  actions: fc.array(action, { minLength: 40, maxLength: 40 }),
  pauses: fc.array(fc.nat(3), { minLength: 7, maxLength: 7 }),
})

/** The clients do their actions until the gateway is gone. */
async function serve(host: ProcessHost, world: World, clients: Observer[], plan: Round) {
  const { actions, pauses, servesMs } = plan
  const waiting: Promise<void>[] = []
  let answer = () => {}
  const answered = new Promise<void>((resolve) => {
    answer = resolve
  })
  const work = async (client: Observer, worker: number) => {
    for (let i = worker; client.connected; i++) {
      const action = actions[(i * WORKERS) % actions.length]!
      const done = world.perform(action, client)
      if (waits(action)) waiting.push(done)
      else {
        await done
        answer()
      }
      await sleep(pauses[i % pauses.length])
    }
  }
  const serving = clients.map(async (client, n) => {
    if (!(await client.connect(host.wsUrl))) return
    const workers = Array.from({ length: WORKERS }, (_, worker) => work(client, n * 13 + worker))
    await Promise.all([world.settle(client), ...workers])
  })
  // Comes for the first time and wants to have everything, while it goes on.
  const newcomer = new Observer(host.history, 'newcomer')
  newcomer.position = { epoch: clients[0]!.position!.epoch, seq: 0 }
  serving.push(newcomer.connect(host.wsUrl).then(() => {}))
  // A gateway that has just started is slow: it is to be at work, unless it is to be met before that.
  if (servesMs > EARLY_MS) await answered
  await sleep(servesMs)
  await host.end('killed')
  await Promise.all(serving)
  await Promise.all(waiting)
}

const runs = [...keptSeeds('kill-rounds').map(({ seed }) => seed!), seedOfRun()]

t.setTimeout(runsOf(180_000) * runs.length)

for (const seed of runs) {
  t.test(
    `killed at any moment, over and over: what is acknowledged is handled, in order (seed ${seed})`,
    async (t) => {
      const history = new History()
      const host = await ProcessHost.create(await temporaryFolder(t), history, await freePort())
      t.teardown(() => host.close())
      const world = new World(LANES + LEFT_BEHIND * runsOf(ROUNDS))
      const clients = ['alice', 'bob', 'carol'].map((name) => new Observer(history, name))
      await host.start()
      await clients[0]!.connect(host.wsUrl)
      await world.create(QUEUE_MODES, clients[0]!)
      const library = await LibraryClient.connect(history, host.wsUrl)
      t.teardown(() => library.disconnect())
      const sent: Promise<unknown>[] = []
      for (const [n, plan] of fc.sample(round, { seed, numRuns: runsOf(ROUNDS) }).entries()) {
        const killAfterMs = n === 0 ? null : plan.killedInStartAfterMs
        if (n > 0 && !(await host.start(killAfterMs === null ? {} : { killAfterMs }))) continue
        world.first = LEFT_BEHIND * n
        sent.push(library.send(world.sessions[world.first + (n % LANES)]!))
        await serve(host, world, clients, plan)
      }
      const ending = await conclude(host, world, [...clients, library])
      await Promise.all(sent)
      const witness = await readWitness(host.home)
      const problems = check(history, witness, ending)
      const log = ending.log.length
      t.comment(
        `${history.lives.length} gateways, ${history.calls.length} calls, ${log} events, ${witness.length} lines`,
      )
      if (problems.length > 0) t.fail(`FAULT_SEED=${seed}\n${explain(problems, history, witness, ending)}`)
      else t.pass()
    },
  )
}
