import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { clock } from '../../src/doctor/clock.js'
import { journal } from '../../src/doctor/journal.js'
import { inspectJournal } from '../../src/journal/inspect.js'
import { sampleAppend, sampleEntry, sampleSession } from '../../src/testing/journal-samples.js'
import { temporaryFolder } from '../helpers/app.js'
import { damageTree } from '../helpers/damage.js'
import { changeInspections } from '../helpers/inspections.js'
import { openTestJournal } from '../journal/helpers.js'
import { contextOf, run, told } from './context.js'

const KEY = 'web:1:main'

async function stage(t: Test, at = Date.now()) {
  const journalPath = join(await temporaryFolder(t), 'journal.db')
  const opened = await openTestJournal(t, journalPath)
  const create = { record: sampleSession(KEY), entry: sampleEntry('session.created', KEY, '', at) }
  await opened.append(sampleAppend(KEY, 'hello', { create, at }))
  const inspect = async () => (existsSync(journalPath) ? inspectJournal(journalPath, 'full') : null)
  return { journalPath, opened, context: await contextOf(t, {}, { journalPath, inspectJournal: inspect }) }
}

t.test('a sound journal is told with its size, in use and closed alike', async (t) => {
  const { opened, context, journalPath } = await stage(t)
  t.match(told(await run(journal, context)), [
    /^ok: .*journal\.db is whole: .*position \d+, 1 sessions, 1 events/,
  ])
  await opened.close()
  const before = readFileSync(journalPath)
  t.match(told(await run(journal, context)), [/^ok/])
  t.ok(readFileSync(journalPath).equals(before))
})

t.test('none, and one in memory, are nothing to worry about', async (t) => {
  const none = join(await temporaryFolder(t), 'journal.db')
  const found = told(await run(journal, await contextOf(t, {}, { journalPath: none })))
  t.match(found, [/^info: .*not there yet/])
  t.match(told(await run(journal, await contextOf(t))), [/^info: It is in memory/])
})

t.test('dead letters are told with the command that lists them', async (t) => {
  const { opened, context } = await stage(t)
  const [event] = await opened.pending()
  const { sessionKey, id } = event!.event
  const error = { code: 'INTERNAL_ERROR', message: 'broken', details: null } as never
  const lease = await opened.lease(sessionKey)
  await opened.complete({ eventIds: [id], lease, status: 'failed', attempts: 1, error, entries: [] } as never)
  await opened.close()
  t.match(await run(journal, context), [
    { severity: 'ok' },
    {
      severity: 'warning',
      message: /^1 events have failed/,
      remedy: 'lurkbot gateway call deadLetters.list',
    },
  ])
})

t.test('a damaged index is made anew on request, and only of a stopped gateway', async (t) => {
  const { opened, context, journalPath } = await stage(t)
  await opened.close()
  damageTree(journalPath, 'sessions_recent')
  const running = { pid: 7 } as never
  t.match((await run(journal, context))[0], {
    severity: 'error',
    remedy: 'lurkbot doctor --fix',
    fixable: true,
  })
  t.match((await run(journal, { ...context, running, fix: true }))[0], {
    severity: 'error',
    remedy: 'lurkbot gateway stop; lurkbot doctor --fix',
    fixable: false,
  })
  t.match(told(await run(journal, { ...context, fix: true })), [
    /^info: .*made anew.*nothing is lost.*is kept: /,
  ])
  t.match(told(await run(journal, context)), [/^ok/])
  t.equal(readdirSync(dirname(journalPath)).filter((name) => /before/.test(name)).length, 1)
})

t.test(
  'a journal that is not made anew in time is as it was, and nothing is left of the attempt',
  async (t) => {
    const { opened, context, journalPath } = await stage(t)
    await opened.close()
    damageTree(journalPath, 'sessions_recent')
    const before = readFileSync(journalPath)
    changeInspections(t, "if (path.endsWith('.part')) hang()")
    t.match(await run(journal, { ...context, fix: true, mendTimeoutMs: 500 }), [
      {
        severity: 'error',
        message: /journal\.db was not made anew, and is as it was: it took longer than 0\.5 s/,
      },
    ])
    t.ok(readFileSync(journalPath).equals(before))
    t.same(
      readdirSync(dirname(journalPath)).filter((name) => /part|before/.test(name)),
      [],
    )
  },
)

t.test('a damaged table is told with the way to a backup, and not touched', async (t) => {
  const { opened, context, journalPath } = await stage(t)
  await opened.close()
  damageTree(journalPath, 'entries')
  const before = readFileSync(journalPath)
  const [found] = await run(journal, { ...context, fix: true })
  t.match(found, { severity: 'error', remedy: /^lurkbot journal restore FILE/, fixable: false })
  t.ok(readFileSync(journalPath).equals(before))
})

t.test('times of the journal that are still to come tell that the clock was set', async (t) => {
  const { opened, context } = await stage(t, Date.now() + 7_200_000)
  await opened.close()
  t.match(told(await run(clock, context)), [/^warning: The journal has times that are .* in the future/])
})
