import fs, {
  chownSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename, dirname, join } from 'node:path'
import type { Database } from 'better-sqlite3'
import t, { type Test } from 'tap'
import { backupJournal, restoreJournal } from '../../src/journal/backup.js'
import { inspectJournal } from '../../src/journal/inspect.js'
import { inspectApart } from '../../src/journal/inspect-apart.js'
import { canRebuild } from '../../src/journal/journal-problems.js'
import { rebuildJournal } from '../../src/journal/rebuild.js'
import { publishFile } from '../../src/journal/replace-file.js'
import { SCHEMA_VERSION } from '../../src/journal/schema.js'
import { Sqlite } from '../../src/journal/sqlite-driver.js'
import { sampleAppend, sampleEntry, sampleSession } from '../../src/testing/journal-samples.js'
import { damageTree } from '../helpers/damage.js'
import { changeInspections } from '../helpers/inspections.js'
import { smallDisk } from '../helpers/small-disk.js'
import { openTestJournal, temporaryFolder } from './helpers.js'

const KEY = 'web:1:main'
const first = (text: string) =>
  sampleAppend(KEY, text, {
    create: { record: sampleSession(KEY), entry: sampleEntry('session.created', KEY, 'created') },
  })

/** A closed journal with some messages, and what it says of itself. */
async function closedJournal(t: Test, messages = 30) {
  const path = join(await temporaryFolder(t), 'journal.db')
  const journal = await openTestJournal(t, path)
  await journal.append(first('m0'))
  const more = Array.from({ length: messages - 1 }, (_, n) => `m${n + 1} ${'x'.repeat(400)}`)
  await Promise.all(more.map((text) => journal.append(sampleAppend(KEY, text))))
  await journal.maintain()
  await journal.close()
  return { path, facts: inspectJournal(path, 'full').facts! }
}

async function contents(t: Test, path: string): Promise<(string | undefined)[]> {
  const journal = await openTestJournal(t, path)
  const entries = await journal.replay(0, journal.head, 100_000)
  await journal.close()
  return entries
    .filter(({ event }) => event === 'session.message')
    .map(({ payload }) => (JSON.parse(payload) as { content: string }).content.split(' ')[0])
}

/** Does `work` with a connection that does not know of an index. */
function forget(path: string, index: string, work: (db: Database) => void): void {
  const take = 'SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master WHERE name = ?'
  let row: unknown[] = []
  const steps: ((db: Database) => void)[] = [
    (db) => {
      row = db.prepare<unknown[], unknown[]>(take).raw().get(index)!
      db.prepare('DELETE FROM sqlite_master WHERE name = ?').run(index)
    },
    work,
    (db) => void db.prepare('INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)').run(row),
  ]
  for (const step of steps) {
    const db = new Sqlite(path)
    db.unsafeMode(true)
    db.pragma('writable_schema = ON')
    step(db)
    db.close()
  }
}

const leftIn = (path: string, what: RegExp): string[] =>
  readdirSync(dirname(path)).filter((name) => what.test(name))

/** A file system without second names, as exFAT is one; what is brought to its disk and what is renamed there, in order. */
function withoutLinks(t: Test): string[] {
  const { linkSync, openSync, fsyncSync, renameSync } = fs
  const steps: string[] = []
  const names = new Map<number, string>()
  const use = (functions: Partial<typeof fs>) => {
    Object.assign(fs, functions)
    syncBuiltinESMExports()
  }
  t.teardown(() => use({ linkSync, openSync, fsyncSync, renameSync }))
  use({
    linkSync: () => {
      throw Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' })
    },
    openSync: (path, ...how) => {
      const file = openSync(path, ...how)
      names.set(file, basename(String(path)))
      return file
    },
    fsyncSync: (file) => {
      fsyncSync(file)
      steps.push(`sync ${names.get(file)}`)
    },
    renameSync: (from, to) => {
      renameSync(from, to)
      steps.push(`rename ${basename(String(to))}`)
    },
  })
  return steps
}

t.test('a backup has what was acknowledged before it began, and ends while more keeps coming', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'journal.db')
  const journal = await openTestJournal(t, path)
  let acknowledged = 0
  const append = async (text: string) => {
    await journal.append(acknowledged === 0 ? first(text) : sampleAppend(KEY, text))
    acknowledged += 1
  }
  await append('m0')
  await Promise.all(Array.from({ length: 500 }, (_, n) => append(`m${n + 1} ${'x'.repeat(4_000)}`)))
  let going = true
  const flood = (async () => {
    while (going) await append(`m${acknowledged} ${'x'.repeat(4_000)}`)
  })()
  const before = acknowledged
  const steps: number[] = []
  const file = join(folder, 'backup.db')
  const report = await backupJournal(path, file, { onProgress: (done) => steps.push(done) })
  going = false
  await flood
  t.ok(acknowledged > before, 'it was written to all along')
  t.ok(report.facts.counts.events >= before)
  t.equal(steps.at(-1), 1)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.same(leftIn(file, /part|backup\.db./), [], 'nothing else is left')

  const copy = await contents(t, file)
  t.same(
    copy,
    copy.map((_, n) => `m${n}`),
    'in order, without a gap',
  )
  t.equal(copy.length, report.facts.counts.events)
})

t.test('a backup takes the place of nothing, and is not made of what is not there', async (t) => {
  const { path } = await closedJournal(t, 1)
  const file = `${path}.copy`
  writeFileSync(file, 'mine')
  await t.rejects(backupJournal(path, file), /a file of that name already/)
  t.equal(readFileSync(file, 'utf8'), 'mine')
  await t.rejects(backupJournal(`${path}.none`, `${path}.other`), /not there/)
  await t.rejects(backupJournal(path, '/nowhere/at/all.db'), /cannot be made/)
})

t.test('an interrupted backup leaves nothing behind', async (t) => {
  const { path } = await closedJournal(t, 1)
  const interrupt = new AbortController()
  interrupt.abort(new Error('enough'))
  await t.rejects(backupJournal(path, `${path}.copy`, { signal: interrupt.signal }), /enough/)
  t.same(leftIn(path, /copy/), [])
})

t.test('a restored journal has an epoch of its own, and the one that was there is kept', async (t) => {
  const { path, facts } = await closedJournal(t)
  const file = `${path}.copy`
  await backupJournal(path, file)
  const later = await openTestJournal(t, path)
  await later.append(sampleAppend(KEY, 'later'))
  await later.close()

  if (process.getuid?.() === 0) chownSync(dirname(path), 4_711, 4_711)
  const report = await restoreJournal(file, path)
  t.equal(statSync(path).uid, statSync(dirname(path)).uid, 'whoever restores it, it is the gateway’s')
  t.equal(report.facts.seq, facts.seq)
  t.not(report.facts.epoch, facts.epoch)
  t.ok(report.lostPositions! > 0)
  t.equal((await contents(t, report.aside!)).at(-1), 'later')
  t.same(await contents(t, path), await contents(t, file))
  t.equal(statSync(path).mode & 0o777, 0o600)

  const again = await restoreJournal(file, path)
  t.not(again.aside, report.aside, 'nothing that was kept is overwritten')
  t.not(again.facts.epoch, report.facts.epoch)
})

t.test('where files have no second names, a backup is the file that was read through', async (t) => {
  const { path, facts } = await closedJournal(t, 3)
  const steps = withoutLinks(t)
  const file = `${path}.copy`
  await backupJournal(path, file)
  t.same(inspectJournal(file, 'full').facts, { ...facts, newestAt: facts.newestAt })
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.same(steps.slice(-3), [
    `sync journal.db.copy.${process.pid}.part`,
    'rename journal.db.copy',
    `sync ${basename(dirname(path))}`,
  ])
  const draft = `${path}.draft`
  writeFileSync(draft, 'mine')
  t.throws(() => publishFile(draft, file), { code: 'EEXIST' })
  t.equal(readFileSync(draft, 'utf8'), 'mine')
  t.match(inspectJournal(file, 'full').facts, facts)
})

t.test(
  'where files have no second names, the journal that was there is on the disk before it goes',
  async (t) => {
    const { path } = await closedJournal(t, 3)
    await backupJournal(path, `${path}.copy`)
    const steps = withoutLinks(t)
    const { aside } = await restoreJournal(`${path}.copy`, path)
    const folder = `sync ${basename(dirname(path))}`
    t.same(steps.slice(-4), [`sync ${basename(aside!)}`, folder, 'rename journal.db', folder])
    t.same(await contents(t, aside!), ['m0', 'm1', 'm2'])
  },
)

t.test('a journal that ends whoever reads it can be replaced all the same', async (t) => {
  const { path } = await closedJournal(t, 3)
  const file = `${path}.copy`
  await backupJournal(path, file)
  changeInspections(t, `if (path === ${JSON.stringify(path)}) process.kill(process.pid, 'SIGKILL')`)
  await t.rejects(inspectApart(path, 'quick'), /ended with SIGKILL/)
  const { aside, lostPositions } = await restoreJournal(file, path)
  t.ok(existsSync(aside!))
  t.equal(lostPositions, null, 'nobody knows')
})

t.test('where no journal was there, none of its positions are lost', async (t) => {
  const { path } = await closedJournal(t, 3)
  const file = `${path}.copy`
  await backupJournal(path, file)
  t.match(await restoreJournal(file, `${path}.new`), { aside: null, lostPositions: 0 })
})

t.test('a full disk is told in words, and nothing unfinished is left on it', async (t) => {
  const disk = smallDisk(t)
  if (disk === null) return t.comment('SKIPPED: no full disk here, since it takes the right to mount a tmpfs')
  const { path } = await closedJournal(t, 500)
  const damaged = join(disk, 'journal.db')
  copyFileSync(path, damaged)
  damageTree(damaged, 'sessions_recent')
  const { bavail, bsize } = fs.statfsSync(disk)
  writeFileSync(join(disk, 'ballast'), Buffer.alloc(bavail * bsize - 200 * 1024))
  const full = { name: 'JournalError', message: /the disk is full\. Nothing was changed; free some space/ }
  const before = readFileSync(damaged)
  await t.rejects(rebuildJournal(damaged), full)
  await t.rejects(restoreJournal(path, damaged), full)
  await t.rejects(backupJournal(path, join(disk, 'backup.db')), full)
  t.ok(readFileSync(damaged).equals(before))
  t.same(leftIn(damaged, /part|before|backup/), [])
})

t.test('what was only in the log of a journal that was killed is kept with it', async (t) => {
  const { path } = await closedJournal(t, 3)
  await backupJournal(path, `${path}.copy`)
  const writer = new Sqlite(path)
  writer.pragma('wal_autocheckpoint = 0')
  writer.exec("INSERT INTO meta (name, value) VALUES ('late', 1)")
  const log = readFileSync(`${path}-wal`)
  const file = readFileSync(path)
  writer.close()
  writeFileSync(path, file)
  writeFileSync(`${path}-wal`, log)
  const { aside } = await restoreJournal(`${path}.copy`, path)
  t.notOk(existsSync(`${path}-wal`), 'a log of another database is not left where it would be played')
  const kept = new Sqlite(aside!, { readonly: true })
  t.equal(kept.prepare("SELECT value FROM meta WHERE name = 'late'").pluck().get(), 1)
  kept.close()
})

t.test('a journal in use is not replaced, and nothing but a sound journal takes its place', async (t) => {
  const { path } = await closedJournal(t)
  const file = `${path}.copy`
  await backupJournal(path, file)
  const running = await openTestJournal(t, path)
  await t.rejects(restoreJournal(file, path), /in use by another process/)
  await t.rejects(rebuildJournal(path), /in use by another process/)
  await running.close()

  const before = readFileSync(path)
  writeFileSync(`${path}.text`, 'no database '.repeat(100))
  await t.rejects(restoreJournal(`${path}.text`, path), /no database/)
  damageTree(file, 'entries')
  await t.rejects(restoreJournal(file, path), /nothing was changed/)
  await t.rejects(restoreJournal(`${path}.none`, path), /nothing was changed/)
  t.ok(readFileSync(path).equals(before))
})

t.test('damage is found, and said of what kind it is', async (t) => {
  const { path, facts } = await closedJournal(t)
  t.same(inspectJournal(path, 'full').problems, [])
  t.match(facts, { version: SCHEMA_VERSION, seq: 31, counts: { entries: 30, events: 30, sessions: 1 } })
  const cases: [string, string][] = [
    ['sessions_recent', 'index'],
    ['search_data', 'search'],
    ['entries', 'data'],
    ['inbox', 'data'],
  ]
  for (const [tree, kind] of cases) {
    const copy = `${path}.${tree}`
    writeFileSync(copy, readFileSync(path))
    damageTree(copy, tree)
    const { problems } = inspectJournal(copy, 'full')
    t.ok(
      problems.some((problem) => problem.kind === kind),
      `${tree}: ${JSON.stringify(problems)}`,
    )
    t.equal(canRebuild(problems), kind !== 'data', tree)
  }
  const ahead = new Sqlite(path)
  ahead.exec("UPDATE meta SET value = 3 WHERE name = 'seq'; DROP INDEX inbox_died")
  ahead.close()
  t.match(inspectJournal(path, 'quick').problems, [
    { message: /index inbox_died is missing/ },
    { message: /entries reach 31, and only 3 were counted/ },
    { message: /inbox reach 31/ },
  ])
  const newer = new Sqlite(path)
  newer.pragma('user_version = 99')
  newer.close()
  t.match(inspectJournal(path, 'quick').problems, [{ kind: 'foreign', message: /version 99/ }])
  writeFileSync(`${path}.empty`, '')
  t.match(inspectJournal(`${path}.empty`, 'quick').problems, [
    { kind: 'foreign', message: /no journal of this program/ },
  ])
})

t.test('a damaged index is made anew from its table, and nothing is lost', async (t) => {
  for (const tree of ['sessions_recent', 'search_data']) {
    const { path, facts } = await closedJournal(t)
    damageTree(path, tree)
    const damaged = readFileSync(path)
    const { aside, facts: made } = await rebuildJournal(path)
    t.same(inspectJournal(path, 'full').problems, [], tree)
    t.match(made, { epoch: facts.epoch, seq: facts.seq, counts: facts.counts })
    t.ok(readFileSync(aside!).equals(damaged), 'the damaged one is as it was')
    const journal = await openTestJournal(t, path)
    await journal.maintain()
    const { hits } = await journal.search({ terms: [{ words: ['m7'], prefix: false }], limit: 5 })
    t.equal(hits.length, 1, 'it is searched as before')
    await journal.close()
  }
})

t.test('an index that lacks more rows than are told is made anew as well', async (t) => {
  const { path } = await closedJournal(t, 300)
  forget(path, 'inbox_pending', (db) => {
    db.exec('CREATE TEMP TABLE more AS SELECT * FROM inbox')
    db.exec("UPDATE more SET id = id || 'x'")
    db.exec('INSERT INTO inbox SELECT * FROM more')
  })
  const { problems } = inspectJournal(path, 'full')
  t.ok(problems.length > 100, JSON.stringify(problems.slice(0, 3)))
  await rebuildJournal(path)
  t.same(inspectJournal(path, 'full').problems, [])
})

t.test('a damaged table is not repaired by leaving out what was in it', async (t) => {
  const { path } = await closedJournal(t)
  damageTree(path, 'entries')
  const before = readFileSync(path)
  await t.rejects(rebuildJournal(path), /cannot be repaired without loss.*It was not changed/)
  t.ok(readFileSync(path).equals(before))
  t.same(leftIn(path, /part|before/), [])
})

t.test('reading a journal through can be ended in the middle', async (t) => {
  const { path } = await closedJournal(t, 1)
  await t.rejects(inspectApart(path, 'full', AbortSignal.abort()), { name: 'AbortError' })
})
