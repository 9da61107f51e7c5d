import t, { type Test } from 'tap'
import { FAILPOINTS } from '../../src/failpoint.js'
import * as deaths from './deaths.js'
import { Ledger, type LedgerOptions } from './ledger.js'

/** One life after the other ends at its point, over the same state; the last one must find everything in order. */
async function survives(t: Test, series: readonly deaths.Death[], options: LedgerOptions = {}) {
  const ledger = await Ledger.create(t, { sessions: 3, messages: 10, ...options })
  for (const death of series) {
    const doomed = await ledger.start(deaths.dying(death))
    await ledger.drive(doomed)
    await ledger.settled(doomed)
    // One that has not come to its point ends with another signal.
    const { signal } = await doomed.stop()
    t.equal(signal, 'SIGKILL', `dies at ${death.join(', time ')}; ${ledger.acknowledged} acknowledged`)
  }
  const gateway = await ledger.start()
  t.same(await ledger.audit(gateway), [])
  await gateway.kill9()
}

t.test('killed at any step of a write or an outcome, it keeps the promise', { jobs: 2 }, async (t) => {
  t.test('on the way to the disk', (t) => survives(t, deaths.TO_THE_DISK))
  t.test('on the way back', (t) => survives(t, deaths.BACK_FROM_IT))
  t.test('before and after an outcome and a response', (t) => survives(t, deaths.OUTCOMES_AND_RESPONSES))
  t.test('with many writes at once', (t) => survives(t, deaths.BURSTS, { burst: true }))
  t.test('while a long log is moved into the database', (t) =>
    survives(t, deaths.LONG_LOG, { padding: 320_000 }),
  )
})

t.test('no failpoint is left out', async (t) => {
  const used = new Set(
    Object.values(deaths)
      .filter((value) => typeof value !== 'function')
      .flat()
      .map(([point]) => point),
  )
  t.same([...used].sort(), [...FAILPOINTS].sort())
})
