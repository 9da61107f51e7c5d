import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import fc from '../helpers/properties.js'
import type { History, LifeEnd } from './model/history.js'
import { AppHost, type Host, ProcessHost } from './model/hosts.js'
import { keptSeeds, runsOf, seedOfRun } from './model/runs.js'
import { live, type Story, storyArbitrary } from './model/steps.js'

/** Looking for a smaller history that fails as well takes about so long. */
const SEARCH_MS = 30_000

interface Variant {
  readonly test: string
  readonly ends: readonly LifeEnd[]
  readonly runs: number
  readonly length: number
  readonly host: (home: string, history: History) => Promise<Host>
}

async function holds(t: Test, { test, ends, runs, length, host }: Variant): Promise<void> {
  const seed = seedOfRun()
  const kept = keptSeeds(test).map(({ story }): [Story] => [story as Story])
  let searchUntil = Number.POSITIVE_INFINITY
  const property = fc.asyncProperty(storyArbitrary(ends, length), async (story) => {
    if (performance.now() > searchUntil) return
    try {
      await live(story, async (history) => host(await temporaryFolder(t), history))
    } catch (error) {
      const message = `${(error as Error).message}\nstory: ${JSON.stringify(story)}`
      if (searchUntil === Number.POSITIVE_INFINITY) {
        t.comment(message)
        searchUntil = performance.now() + SEARCH_MS
      }
      throw new Error(message)
    }
  })
  const { failed, errorInstance, numRuns, numShrinks } = await fc.check(property, {
    seed,
    examples: kept,
    numRuns: kept.length + runsOf(runs),
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
    ends: ['killed', 'killed', 'stopped', 'restarted'],
    runs: 4,
    length: 24,
    host: (home, history) => ProcessHost.create(home, history),
  })
})
