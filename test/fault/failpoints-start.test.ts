import t from 'tap'
import { MIGRATIONS, migrate } from '../../src/journal/schema.js'
import { Sqlite } from '../../src/journal/sqlite-driver.js'
import { TestSocket } from '../helpers/socket.js'
import { type Death, dying, FIRST_START, LATER_START } from './deaths.js'
import { Ledger } from './ledger.js'

const dies = async (ledger: Ledger, death: Death) => (await ledger.startDoomed(dying(death))) === null
const named = (death: Death) => `dies at ${death.join(', time ')}`

t.test('killed at any step of its first start, it starts as if for the first time', async (t) => {
  const ledger = await Ledger.create(t)
  for (const death of FIRST_START) t.ok(await dies(ledger, death), named(death))
  const gateway = await ledger.start()
  t.same(await ledger.audit(gateway), [])
  await gateway.kill9()
})

t.test('killed at any step of a later start, it continues what was accepted', async (t) => {
  const ledger = await Ledger.create(t)
  const first = await ledger.start(dying(['batch.committed', 5]))
  await ledger.drive(first)
  await first.exited
  t.ok(ledger.acknowledged > 0, `${ledger.acknowledged} of ${ledger.total} acknowledged`)
  for (const death of LATER_START) t.ok(await dies(ledger, death), named(death))
  const gateway = await ledger.start()
  t.same(await ledger.audit(gateway), [])
  await gateway.kill9()
})

/** A journal as an earlier version left it, with an event that waits. */
function writeEarlier(path: string, version: number): void {
  const db = new Sqlite(path)
  db.pragma('journal_mode = WAL')
  migrate(db, MIGRATIONS.slice(0, version))
  db.exec(`
    INSERT INTO inbox (id, seq, status, session_key, type, source, at, priority, attempts, payload)
      VALUES ('0earlier', 1, 0, 'chat:0:main', 'message.received', 'ws', 1000, 'chat', 0, '{"content":"waiting"}');
    UPDATE meta SET value = 1 WHERE name = 'seq'`)
  db.close()
}

for (let version = 1; version < MIGRATIONS.length; version++) {
  t.test(`killed while it migrates from version ${version}, it loses nothing`, async (t) => {
    const ledger = await Ledger.create(t)
    writeEarlier(`${ledger.home}/journal.db`, version)
    const series: Death[] = [
      ['open.migrating', 1],
      ['open.migrated', 1],
    ]
    for (const death of series) t.ok(await dies(ledger, death), named(death))
    const gateway = await ledger.start()
    const socket = await TestSocket.greeted(t, gateway.wsUrl)
    t.match(await socket.call('agent.wait', { runId: 'run_0earlier' }), {
      status: 'completed',
      message: { content: 'answer to waiting' },
    })
    await gateway.kill9()
  })
}
