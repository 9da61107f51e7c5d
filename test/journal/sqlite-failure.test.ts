import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import t from 'tap'
import type { Journal } from '../../src/journal/journal.js'
import { Sqlite } from '../../src/journal/sqlite-driver.js'
import { sampleAppend, sampleMessage, sampleSession } from '../../src/testing/journal-samples.js'
import { smallDisk } from '../helpers/small-disk.js'
import { until } from '../helpers/until.js'
import { memoryLog, openTestJournal, temporaryFolder } from './helpers.js'

const unavailable = { name: 'GatewayError', code: 'UNAVAILABLE', retryable: true }

/** Resolves once the journal is well; the test's own time limit ends a wait in vain. */
async function recovered(journal: Journal): Promise<void> {
  while (journal.health().status !== 'ok') await delay(10)
}

t.test('refuses writes on a full disk, keeps what it has, and goes on when there is room', async (t) => {
  const disk = smallDisk(t)
  // The next test goes the same way through another failure of the file, without a disk of its own.
  if (disk === null) return t.comment('SKIPPED: no full disk here, since it takes the right to mount a tmpfs')
  const ballast = join(disk, 'ballast')
  writeFileSync(ballast, Buffer.alloc(1024 * 1024))
  const log = memoryLog()
  const path = join(disk, 'journal.db')
  const journal = await openTestJournal(t, path, { log, probeIntervalMs: 20 })
  await journal.saveSession(sampleSession('a'), [])
  const text = 'x'.repeat(2_000)
  const acknowledged: number[] = []
  let refused: unknown = null
  for (let n = 0; refused === null && n < 2_000; n++) {
    const results = await Promise.allSettled([1, 2, 3].map(() => journal.append(sampleAppend('a', text))))
    for (const result of results) {
      if (result.status === 'rejected') refused = result.reason
      else if (result.value.seq !== null) acknowledged.push(result.value.seq)
    }
  }
  t.match(refused, { ...unavailable, retryAfterMs: Number })
  const health = journal.health()
  t.equal(health.status, 'failing')
  t.match(health.message, /journal\.db cannot write: the disk is full.*Free some space/)
  t.notOk(String((refused as Error).message).includes(disk), 'a client is not told the path')
  await t.rejects(journal.saveSession(sampleSession('a'), []), unavailable)
  const head = acknowledged.at(-1)
  t.equal(journal.head, head)
  t.equal((await journal.pending()).length, acknowledged.length, 'reads go on')
  t.ok(journal.stats.failedCommits > 0)

  rmSync(ballast)
  await recovered(journal)
  t.strictSame(await journal.append(sampleAppend('a', 'room')), { duplicate: null, seq: Number(head) + 1 })
  const messages = log.lines.filter(({ level }) => level !== 'debug').map(({ message }) => message)
  t.strictSame(messages, ['journal cannot write; writes are refused', 'journal writes again'])
  await journal.close()
  const again = await openTestJournal(t, path)
  t.equal((await again.history('a', { limit: 10_000 })).length, acknowledged.length + 1)
})

t.test('refuses writes while another program holds the database, and goes on after', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  const journal = await openTestJournal(t, path, { probeIntervalMs: 20 })
  await journal.append(sampleAppend('a', 'before'))
  const other = new Sqlite(path)
  t.teardown(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  await t.rejects(journal.append(sampleAppend('a', 'never')), unavailable)
  t.match(journal.health(), { status: 'failing', message: /another program holds the database/ })
  t.equal((await journal.pending()).length, 1)
  other.exec('ROLLBACK')
  await recovered(journal)
  t.strictSame(await journal.append(sampleAppend('a', 'after')), { duplicate: null, seq: 2 })
})

t.test('closes while it cannot write', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  const journal = await openTestJournal(t, path)
  const other = new Sqlite(path)
  t.teardown(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  const write = journal.append(sampleAppend('a', 'never'))
  await Promise.all([t.rejects(write, unavailable), journal.close()])
})

t.test('leaves a write at fault out of its commit, and takes the others', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  const journal = await openTestJournal(t, path)
  await journal.saveSession(sampleSession('a'), [])
  const faulty = {
    ...sampleAppend('a', 'bad'),
    entries: [sampleMessage('a', 'bad'), sampleMessage('a', 'bad', 1.5)],
  }
  // So many that part of them is on its way before the turn ends; the fault is in that part.
  const requests = Array.from({ length: 40 }, (_, n) => (n === 10 ? faulty : sampleAppend('a', `${n}`)))
  const results = await Promise.allSettled(requests.map((request) => journal.append(request)))
  t.match(results[10], { status: 'rejected', reason: /journal write refused/ })
  const stored = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.seq] : []))
  const expected = Array.from({ length: 39 }, (_, n) => n + 1)
  t.strictSame(stored, expected)
  t.equal(journal.health().status, 'ok')
  t.equal(journal.stats.commits, 2)
  t.equal((await journal.pending()).length, 39)
  t.strictSame(
    (await journal.history('a', { limit: 50 })).map(({ seq }) => seq),
    expected,
  )
})

t.test('is out of use when its thread dies', async (t) => {
  const started = new Promise<Worker>((resolve) => process.once('worker', resolve))
  const fatal: Error[] = []
  const path = join(await temporaryFolder(t), 'journal.db')
  const log = memoryLog()
  const journal = await openTestJournal(t, path, { log, onFatal: (error) => fatal.push(error) })
  await journal.append(sampleAppend('a', 'before'))
  const waiting = journal.append(sampleAppend('a', 'in flight'))
  // It may be on disk or not, but it must not wait for ever.
  await Promise.all([(await started).terminate(), Promise.allSettled([waiting])])
  await t.rejects(journal.append(sampleAppend('a', 'after')), unavailable)
  t.match(journal.health(), { status: 'failing', message: /thread died.*Start the gateway again/ })
  t.equal(fatal.length, 1)
  t.equal(log.lines.filter(({ level }) => level === 'error').length, 1)
  await journal.close()
  const again = await openTestJournal(t, path)
  t.ok((await again.pending()).length >= 1)
})

t.test('is out of use when its file turns out to be damaged', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  const filled = await openTestJournal(t, path)
  await Promise.all(Array.from({ length: 300 }, (_, n) => filled.append(sampleAppend('a', `text ${n}`))))
  await filled.close()
  const fatal: Error[] = []
  const journal = await openTestJournal(t, path, {
    onFatal: (error) => fatal.push(error),
    probeIntervalMs: 20,
  })
  const script = `
    const fs = require('node:fs')
    const file = fs.openSync(process.argv[1], 'r+')
    const pages = fs.fstatSync(file).size / 4096 - 3
    fs.writeSync(file, Buffer.alloc(pages * 4096, 0xa5), 0, pages * 4096, 3 * 4096)`
  execFileSync(process.execPath, ['-e', script, path])
  await t.rejects(journal.replay(0, journal.head, 1_000), { code: 'UNAVAILABLE' })
  t.match(journal.health(), { status: 'failing', message: /is damaged.*restore a backup/ })
  await t.rejects(journal.append(sampleAppend('a', 'never')), unavailable)
  await until(() => fatal.length > 0)
  t.match(journal.health(), {
    status: 'failing',
    message: /out of use: the file is damaged.*restore a backup/,
  })
  await t.rejects(journal.append(sampleAppend('a', 'never')), unavailable)
  t.equal(fatal.length, 1)
  await journal.close()
})

t.test('is out of use when its file was removed', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'journal.db')
  const journal = await openTestJournal(t, path)
  await rename(path, join(folder, 'gone.db'))
  await journal.maintain()
  t.match(journal.health(), { status: 'failing', message: /removed or replaced.*Put it back/ })
  await t.rejects(journal.append(sampleAppend('a', 'never')), unavailable)
})
