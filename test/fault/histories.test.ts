import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import fc from '../helpers/properties.js'
import type { History, LifeEnd } from './model/history.js'
import { AppHost, type Host, ProcessHost } from './model/hosts.js'
import { keptSeeds, runsOf, seedOfRun } from './model/runs.js'
import { live, type Story, storyArbitrary } from './model/steps.js'

/** Looking for a smaller history that fails as well takes at most so long. */
const SEARCH_MS = 30_000

interface Variant {
  readonly test: string
  readonly ends: readonly LifeEnd[]
  readonly runs: number
  readonly length: number
  /** What one takes at most on a busy machine. */
  readonly millis: number
  readonly host: (home: string, history: History) => Promise<Host>
}

async function holds(t: Test, { test, ends, runs, length, millis, host }: Variant): Promise<void> {
  const seed = seedOfRun()
  const kept = keptSeeds(test).map(({ story }): [Story] => [story as Story])
  const property = fc.asyncProperty(storyArbitrary(ends, length), async (story) => {
    try {
      await live(story, async (history) => host(await temporaryFolder(t), history))
    } catch (error) {
      throw new Error(`${(error as Error).message}\nstory: ${JSON.stringify(story)}`)
    }
  })
  const { failed, errorInstance, numRuns, numShrinks } = await fc.check(property, {
    seed,
    examples: kept,
    numRuns: kept.length + runsOf(runs),
    interruptAfterTimeLimit: runsOf(runs) * millis + SEARCH_MS,
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
      millis: 1_000,
      length: 24,
      host: AppHost.create,
    })
  },
)

t.test('the same, with processes that are killed in between', async (t) => {
  await holds(t, {
    test: 'histories of processes',
    ends: ['killed', 'killed', 'stopped', 'restarted'],
    runs: 4,
    millis: 10_000,
    length: 24,
    host: ProcessHost.create,
  })
})
