import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { JournalError, openJournal } from '../../src/journal/index.js'
import { journalOptions, temporaryFolder } from './helpers.js'

const run = promisify(execFile)

t.test('opens the type that the configuration names', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  for (const type of ['memory', 'sqlite'] as const) {
    const journal = await openJournal({ ...journalOptions(), type, path })
    t.equal(journal.head, 0)
    await journal.close()
  }
  await t.rejects(openJournal({ ...journalOptions(), type: 'sqlite' }), JournalError)
})

t.test('does not load the database library for a journal in memory', async (t) => {
  const index = new URL('../../src/journal/index.js', import.meta.url).href
  const script = `
    import { createRequire } from 'node:module'
    import { openJournal } from ${JSON.stringify(index)}
    const options = { maxPendingWrites: 1, retentionMs: 1, idempotencyWindowMs: 1, log: console }
    await (await openJournal({ ...options, type: 'memory' })).close()
    const loaded = Object.keys(createRequire(${JSON.stringify(index)}).cache)
    console.log(loaded.filter((path) => path.includes('better')).length)`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script])
  t.equal(stdout.trim(), '0')
})
