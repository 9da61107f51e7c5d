import { execFile } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { JournalError } from '../../src/journal/journal-error.js'
import { migrate, SCHEMA_VERSION } from '../../src/journal/schema.js'
import { Sqlite } from '../../src/journal/sqlite-driver.js'
import { sampleAppend, sampleSession } from '../../src/testing/journal-samples.js'
import { openTestJournal, temporaryFolder } from './helpers.js'

const run = promisify(execFile)
const PAGE = 4_096

/** A closed journal with some hundred messages. */
async function filledJournal(t: Test): Promise<string> {
  const path = join(await temporaryFolder(t), 'journal.db')
  const journal = await openTestJournal(t, path)
  await journal.saveSession(sampleSession('a'), [])
  await Promise.all(Array.from({ length: 300 }, (_, n) => journal.append(sampleAppend('a', `text ${n}`))))
  await journal.close()
  return path
}

/** Opening must fail with this message, and leave the file as it was. */
async function refuses(t: Test, path: string, pattern: RegExp): Promise<void> {
  const before = existsSync(path) && statSync(path).isFile() ? readFileSync(path) : null
  const error = await openTestJournal(t, path).then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof JournalError)) throw error ?? new Error('the journal opened')
  t.ok(error.message.includes(path), `names ${path}`)
  t.match(error.message, pattern)
  if (before !== null) t.ok(readFileSync(path).equals(before), 'is as it was')
}

function overwrite(path: string, from: number, bytes: Buffer): void {
  const content = readFileSync(path)
  bytes.copy(content, from)
  writeFileSync(path, content)
}

t.test('makes its folder and files for its owner only', async (t) => {
  const folder = join(await temporaryFolder(t), 'state', 'deeper')
  const path = join(folder, 'journal.db')
  const journal = await openTestJournal(t, path)
  await journal.append(sampleAppend('a', 'secret'))
  t.equal(statSync(folder).mode & 0o777, 0o700)
  for (const file of [path, `${path}-wal`, `${path}-shm`, `${path}.lock`, `${path}.running`]) {
    t.equal(statSync(file).mode & 0o777, 0o600, file)
  }
})

t.test('gives each journal a name of its own', async (t) => {
  const folder = await temporaryFolder(t)
  const [a, b] = [await openTestJournal(t, join(folder, 'a')), await openTestJournal(t, join(folder, 'b'))]
  t.match(a.epoch, /^[0-9a-f]{24}$/)
  t.not(a.epoch, b.epoch)
})

t.test('leaves nothing but the database and its lock behind when it is closed', async (t) => {
  const path = await filledJournal(t)
  t.notOk(statSync(`${path}-wal`, { throwIfNoEntry: false }))
  t.notOk(statSync(`${path}-shm`, { throwIfNoEntry: false }))
  t.notOk(statSync(`${path}.running`, { throwIfNoEntry: false }))
})

t.test('refuses a file that is no database', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  writeFileSync(path, 'Dear diary,\n'.repeat(1_000))
  await refuses(t, path, /not a database.*Move it away or restore a backup/)
})

t.test('refuses a damaged beginning', async (t) => {
  const path = await filledJournal(t)
  overwrite(path, 0, Buffer.alloc(PAGE))
  await refuses(t, path, /not a database, or its beginning is damaged/)
})

t.test('refuses damage in the middle', async (t) => {
  const path = await filledJournal(t)
  overwrite(path, 12 * PAGE, Buffer.alloc(8 * PAGE, 0xa5))
  await refuses(t, path, /is damaged.*Move it away or restore a backup/)
})

t.test('refuses a file that was cut short', async (t) => {
  const path = await filledJournal(t)
  truncateSync(path, 20 * PAGE)
  await refuses(t, path, /is damaged/)
})

t.test('refuses the database of another program, and does not even move its log', async (t) => {
  const path = join(await temporaryFolder(t), 'other.db')
  const other = new Sqlite(path)
  t.teardown(() => other.close())
  other.pragma('journal_mode = WAL')
  other.exec('CREATE TABLE theirs (x)')
  await refuses(t, path, /another program.*another path/)
  t.ok(statSync(`${path}-wal`).size > 0)
})

t.test('refuses a newer schema', async (t) => {
  const path = await filledJournal(t)
  const db = new Sqlite(path)
  db.pragma(`user_version = ${SCHEMA_VERSION + 1}`)
  db.close()
  await refuses(
    t,
    path,
    new RegExp(`schema is version ${SCHEMA_VERSION + 1}.*up to ${SCHEMA_VERSION}.*Upgrade`),
  )
})

t.test('refuses a folder, and a folder that is a file', async (t) => {
  const folder = await temporaryFolder(t)
  mkdirSync(join(folder, 'journal.db'))
  await refuses(t, join(folder, 'journal.db'), /is a folder/)
  writeFileSync(join(folder, 'file'), '')
  await refuses(t, join(folder, 'file', 'journal.db'), /folder cannot be used/)
})

t.test('refuses a log whose database is missing, rather than delete what was acknowledged', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  writeFileSync(`${path}-wal`, 'x'.repeat(8_192))
  await refuses(t, path, /missing, but its log .*-wal is there/)
  writeFileSync(path, '')
  await refuses(t, path, /empty, but its log .*-wal is there/)
  t.equal(statSync(`${path}-wal`).size, 8_192)
})

t.test('refuses a damaged lock file', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  writeFileSync(`${path}.lock`, 'x'.repeat(8_192))
  await refuses(t, path, /lock file .* is damaged.*delete it/)
})

t.test(
  'refuses what it may not write or read',
  { skip: process.getuid?.() !== 0 && 'takes root' },
  async (t) => {
    const path = await filledJournal(t)
    const folder = join(path, '..')
    const asNobody = async (pattern: RegExp) => {
      process.seteuid?.(65_534)
      try {
        const error: Error = await openTestJournal(t, path).then(
          () => new Error('the journal opened'),
          (reason) => reason,
        )
        t.ok(error instanceof JournalError)
        t.match(error.message, pattern)
      } finally {
        process.seteuid?.(0)
      }
    }
    chmodSync(folder, 0o755)
    await asNobody(/lock file .* cannot be written.*Fix the permissions/)
    chmodSync(folder, 0o777)
    chmodSync(`${path}.lock`, 0o666)
    await asNobody(/cannot be read and written.*Fix the permissions/)
    chmodSync(path, 0o444)
    await asNobody(/cannot be read and written.*Fix the permissions/)
  },
)

t.test('refuses a journal that is in use, by whatever name, and says by whom', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'journal.db')
  const journal = await openTestJournal(t, path)
  symlinkSync(path, join(folder, 'alias.db'))
  const used = new RegExp(`${path}: it is in use by another process \\(pid ${process.pid}\\).*Stop that one`)
  await t.rejects(openTestJournal(t, path), { name: 'JournalError', message: used })
  await t.rejects(openTestJournal(t, join(folder, 'alias.db')), { message: used })

  const module = new URL('../../src/journal/sqlite.js', import.meta.url).href
  const script = `
    import { openSqliteJournal } from ${JSON.stringify(module)}
    const options = { maxPendingWrites: 1, retentionMs: 1, idempotencyWindowMs: 1, log: console }
    await openSqliteJournal({ ...options, path: ${JSON.stringify(path)} })`
  const child = run(process.execPath, ['--input-type=module', '-e', script])
  t.match((await child.catch((error: { stderr: string }) => error)).stderr, used)

  await journal.append(sampleAppend('a', 'still works'))
  await journal.close()
  await (await openTestJournal(t, path)).close()
})

t.test('continues where a first start was cut off', async (t) => {
  const folder = await temporaryFolder(t)
  writeFileSync(join(folder, 'empty.db'), '')
  const db = new Sqlite(join(folder, 'tableless.db'))
  db.pragma('journal_mode = WAL')
  db.close()
  for (const name of ['empty.db', 'tableless.db']) {
    const journal = await openTestJournal(t, join(folder, name))
    t.strictSame(await journal.append(sampleAppend('a', 'one')), { duplicate: null, seq: 1 })
  }
})

/** A database as it is when a program is killed in the middle of a transaction that has reached the file. */
function cutOff(path: string, prepare: string): void {
  const db = new Sqlite(`${path}.writing`)
  db.pragma('cache_size = 1')
  db.exec(`PRAGMA page_size = 4096; ${prepare}; BEGIN; CREATE TABLE big (x)`)
  for (let n = 0; n < 50; n++) db.prepare('INSERT INTO big VALUES (zeroblob(10000))').run()
  for (const suffix of ['', '-journal']) copyFileSync(`${path}.writing${suffix}`, `${path}${suffix}`)
  db.close()
}

t.test('takes back a first start that was cut off, but never writes into what is not its own', async (t) => {
  const folder = await temporaryFolder(t)
  cutOff(join(folder, 'own.db'), 'CREATE TABLE x (y); DROP TABLE x')
  const journal = await openTestJournal(t, join(folder, 'own.db'))
  t.strictSame(await journal.append(sampleAppend('a', 'one')), { duplicate: null, seq: 1 })
  const path = join(folder, 'foreign.db')
  cutOff(path, 'CREATE TABLE theirs (y)')
  await t.rejects(openTestJournal(t, path), { message: /another program/ })
  const foreign = new Sqlite(path)
  t.strictSame(foreign.prepare('SELECT name FROM sqlite_master').pluck().all(), ['theirs'])
  foreign.close()
})

t.test('opens a journal that was moved', async (t) => {
  const path = await filledJournal(t)
  await rename(path, `${path}.moved`)
  const journal = await openTestJournal(t, `${path}.moved`)
  t.equal(journal.head, 300)
})

t.test('migrates step by step from whatever version', async (t) => {
  const steps = [
    'CREATE TABLE one (x); INSERT INTO one VALUES (1)',
    'ALTER TABLE one ADD y',
    'CREATE TABLE two (x)',
  ]
  for (const from of [0, 1, 2, 3]) {
    const db = new Sqlite(':memory:')
    migrate(db, steps.slice(0, from))
    t.equal(migrate(db, steps), from)
    t.equal(db.pragma('user_version', { simple: true }), 3)
    t.strictSame(db.prepare('SELECT * FROM one').all(), [{ x: 1, y: null }])
    t.strictSame(db.prepare('SELECT * FROM two').all(), [])
    db.close()
  }
})

t.test('keeps the version before where a step fails', async (t) => {
  const db = new Sqlite(':memory:')
  t.teardown(() => db.close())
  const steps = ['CREATE TABLE one (x)', 'CREATE TABLE two (x); CREATE TABLE one (x)']
  t.throws(() => migrate(db, steps), /already exists/)
  t.equal(db.pragma('user_version', { simple: true }), 1)
  t.throws(() => db.prepare('SELECT * FROM two'))
})
