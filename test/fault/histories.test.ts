import fc from 'fast-check'
import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import type { History, LifeEnd } from './history.js'
import { AppHost, type Host, ProcessHost } from './hosts.js'
import { keptSeeds, runsOf, seedOfRun } from './runs.js'
import { live, type Step, stepsArbitrary } from './steps.js'

/** Looking for a smaller history that fails as well takes at most so long. */
const SEARCH_MS = 60_000

interface Variant {
  readonly test: string
  readonly ends: readonly LifeEnd[]
  readonly runs: number
  readonly length: number
  readonly host: (home: string, history: History) => Promise<Host>
}

async function holds(t: Test, { test, ends, runs, length, host }: Variant): Promise<void> {
  const seed = seedOfRun()
  const kept = keptSeeds(test).map(({ steps }): [Step[]] => [steps as Step[]])
  const property = fc.asyncProperty(stepsArbitrary(ends, length), async (steps) => {
    try {
      await live(steps, async (history) => host(await temporaryFolder(t), history))
    } catch (error) {
      throw new Error(`${(error as Error).message}\nsteps: ${JSON.stringify(steps)}`)
    }
  })
  const { failed, errorInstance, numRuns, numShrinks } = await fc.check(property, {
    seed,
    examples: kept,
    numRuns: kept.length + runsOf(runs),
    interruptAfterTimeLimit: runsOf(runs) * 5_000 + SEARCH_MS,
  })
  const message = errorInstance instanceof Error ? errorInstance.message : String(errorInstance)
  if (failed) t.fail(`FAULT_SEED=${seed}, history ${numRuns}, made smaller ${numShrinks} times: ${message}`)
  else t.pass(`${numRuns} histories`)
}

t.setTimeout(runsOf(300_000))

t.test(
  'whatever clients do, and however often the gateway is stopped, what may be seen is seen',
  async (t) => {
    await holds(t, {
      test: 'histories',
      ends: ['stopped', 'restarted'],
      runs: 30,
      length: 24,
      host: AppHost.create,
    })
  },
)

t.test('the same, with processes that are killed in between', async (t) => {
  await holds(t, {
    test: 'histories of processes',
    ends: ['killed', 'killed', 'stopped'],
    runs: 4,
    length: 24,
    host: ProcessHost.create,
  })
})
