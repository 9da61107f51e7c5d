import { join } from 'node:path'
import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { copyState, Faults, NO_FAULTS } from './faults.js'
import { Ledger } from './ledger.js'

// Not only the process dies: what no fsync has brought to the disk is gone, too. faults.c keeps what is left.

/** The state folder after the cut: everything but the journal as it was, the journal as it is on the disk. */
async function afterCut(t: Test, ledger: Ledger, disk: string): Promise<Ledger> {
  const home = join(await temporaryFolder(t), 'home')
  copyState(ledger.home, home, { journal: false })
  copyState(disk, home)
  return ledger.movedTo(home)
}

for (const sync of [5, 12, 16, 27]) {
  t.test(`the power fails at fsync ${sync} of the first life`, { skip: NO_FAULTS }, async (t) => {
    const disk = await temporaryFolder(t)
    const faults = new Faults(t, disk)
    const ledger = await Ledger.create(t, { messages: 8 })
    faults.set('killAtSync', sync)
    const gateway = await ledger.startDoomed({ env: faults.env })
    if (gateway !== null) {
      await ledger.drive(gateway)
      await ledger.settled(gateway)
      t.equal((await gateway.stop()).signal, 'SIGKILL', `${ledger.acknowledged} acknowledged`)
    }

    const after = await afterCut(t, ledger, disk)
    const next = await after.start()
    t.same(await after.audit(next), [])
    await next.kill9()
  })
}

t.test(
  'what a second life has told of the first one is on the disk, though the first one never brought it there',
  { skip: NO_FAULTS },
  async (t) => {
    const disk = await temporaryFolder(t)
    const faults = new Faults(t, disk)
    const ledger = await Ledger.create(t)
    // Nothing is written but what comes in, so nothing else brings it to the disk.
    const env = { ...faults.env, AGENT_MS: '600000' }
    const first = await ledger.start({ env })
    faults.set('killAtSync', 4)
    await ledger.drive(first)
    t.equal((await first.exited).signal, 'SIGKILL', `${ledger.acknowledged} acknowledged`)
    const told = ledger.position

    const second = await ledger.start({ env })
    const watcher = await ledger.watch(second)
    const { seq: head } = await watcher.call('gateway.info')
    await ledger.reached(head)
    t.ok(head > told, 'it tells of what was not acknowledged')
    await second.kill9()

    const after = await afterCut(t, ledger, disk)
    const third = await after.start()
    t.same(await after.audit(third), [])
    await third.kill9()
  },
)
