import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Sqlite } from '../../src/journal/sqlite-driver.js'
import { temporaryFolder } from '../helpers/app.js'
import type { GatewayProcess } from '../helpers/gateway-process.js'
import { until } from '../helpers/until.js'
import { ALL, copyState, Faults, FILE, NO_FAULTS } from './faults.js'
import { Ledger } from './ledger.js'

/** What the gateway says of itself while its journal is failing; each line it logs of that is expected. */
const COMPLAINTS =
  /journal cannot write|outcome could not be written|journal read failed|run failed unexpectedly|disk I\/O error/

const codes = (gateway: GatewayProcess) =>
  Promise.all(
    ['/health', '/health/ready', '/health/live'].map(
      async (path) => (await fetch(gateway.url + path)).status,
    ),
  )
const healed = (gateway: GatewayProcess) => until(async () => (await codes(gateway))[0] === 200)

async function powerCut(t: Test, ledger: Ledger, gateway: GatewayProcess, disk: string): Promise<Ledger> {
  await gateway.kill9()
  const home = join(await temporaryFolder(t), 'home')
  copyState(ledger.home, home, { journal: false })
  copyState(disk, home)
  return ledger.movedTo(home)
}

for (const fault of ['failSyncs', 'failWrites', 'failReads'] as const) {
  t.test(
    `EIO (${fault}): nothing is acknowledged that is not on the disk`,
    { skip: NO_FAULTS },
    async (t) => {
      const disk = await temporaryFolder(t)
      const faults = new Faults(t, disk)
      const ledger = await Ledger.create(t, { messages: 10 })
      const gateway = await ledger.start({ env: { ...faults.env, AGENT_MS: '40' } })
      const sender = await ledger.connect(gateway)
      const driven = ledger.drive(gateway)
      await ledger.reached(6)
      faults.set(fault, ALL)
      await driven
      t.ok(ledger.acknowledged < ledger.total, `${ledger.acknowledged} acknowledged before`)
      t.match(await sender.refused('sessions.send', { content: 'never' }, 'chat:0:main'), {
        code: 'UNAVAILABLE',
        retryable: true,
      })
      t.same(await codes(gateway), [503, 503, 200])
      await until(() => /outcome could not be written|run failed unexpectedly/.test(gateway.output()))
      const finals = sender.frames.filter(({ event }) => event === 'agent.completed').length
      t.equal((await sender.call('gateway.ping', {})).pong, true, 'what needs no disk works')
      t.ok(faults.get('failures') > 0, `${faults.get('failures')} failures`)

      faults.set(fault, 0)
      await healed(gateway)
      t.ok(finals < ledger.acknowledged, 'what ran meanwhile has its outcome only now')
      t.same(await ledger.audit(gateway, { complaints: COMPLAINTS }), [])

      const after = await powerCut(t, ledger, gateway, disk)
      const next = await after.start()
      t.same(await after.audit(next), [], 'the disk has it, too')
      await next.kill9()
    },
  )
}

t.test(
  'what was refused as the disk failed does not come back after a kill',
  { skip: NO_FAULTS },
  async (t) => {
    const faults = new Faults(t)
    const ledger = await Ledger.create(t)
    const gateway = await ledger.start({ env: { ...faults.env, AGENT_MS: '600000' } })
    const sender = await ledger.connect(gateway)
    const driven = ledger.drive(gateway)
    await sender.event('agent.started')
    await driven
    const { known } = ledger
    faults.set('failSyncs', ALL)
    for (const key of ['chat:0:main', 'chat:1:main']) {
      t.equal((await sender.refused('sessions.send', { content: 'refused' }, key)).code, 'UNAVAILABLE')
    }
    await gateway.kill9()
    const next = await ledger.start()
    t.same((await ledger.stored(await ledger.connect(next))).sort(), known.sort())
    t.same(await ledger.audit(next), [])
    await next.kill9()
  },
)

t.test(
  'an fsync of the database that fails is not made good by the next one that succeeds',
  { skip: NO_FAULTS },
  async (t) => {
    const disk = await temporaryFolder(t)
    const faults = new Faults(t, disk)
    const ledger = await Ledger.create(t, { messages: 11, padding: 320_000 })
    const gateway = await ledger.start({ env: faults.env })
    const driven = ledger.drive(gateway)
    await ledger.reached(20)
    // Somebody makes a backup: as long as it reads, only a part of the log can be moved, without an fsync.
    const reader = new Sqlite(join(ledger.home, 'journal.db'), { readonly: true })
    t.teardown(() => reader.close())
    reader.exec('BEGIN; SELECT count(*) FROM entries')
    await driven
    await ledger.settled(gateway)
    reader.exec('COMMIT')
    // What was written into the database until now is dropped; the next fsync succeeds.
    faults.set('only', FILE.database)
    faults.set('failSyncs', 1)
    const sender = await ledger.connect(gateway)
    await until(async () => {
      await sender.request('sessions.send', { content: 'next' }, 'other:1:main')
      return (await codes(gateway))[0] === 503
    })
    t.equal(faults.get('failures'), 1)
    // Only alone can it write everything again.
    await until(async () => /another program holds/.test(await (await fetch(`${gateway.url}/health`)).text()))
    reader.close()
    await healed(gateway)

    const after = await powerCut(t, ledger, gateway, disk)
    const next = await after.start()
    t.same(await after.audit(next), [])
    await next.kill9()
  },
)

t.test('a start at which the disk fails says so, and changes nothing', { skip: NO_FAULTS }, async (t) => {
  const faults = new Faults(t)
  const ledger = await Ledger.create(t)
  const first = await ledger.start()
  await ledger.drive(first)
  await first.kill9()
  faults.set('failSyncs', ALL)
  await t.rejects(ledger.start({ env: faults.env }), {
    message: /ended with 1 .*journal\.db: the disk failed: .*Check the disk and its mount/s,
  })
  const next = await ledger.start()
  t.same(await ledger.audit(next), [])
  await next.kill9()
})
