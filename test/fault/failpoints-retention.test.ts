import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import type { GroupedJournal } from '../../src/journal/grouped-journal.js'
import type { Lease } from '../../src/journal/journal.js'
import {
  completeEvents,
  sampleAppend,
  sampleEntry,
  sampleError,
  sampleMessage,
  sampleSession,
} from '../../src/testing/journal-samples.js'
import { openTestJournal, temporaryFolder } from '../journal/helpers.js'
import { dying, RETENTION, TRIMMING } from './deaths.js'
import { copyState } from './faults.js'

const PROGRAM = fileURLToPath(new URL('./retain.js', import.meta.url))
const run = promisify(execFile)

/** A conversation, one that was reset, one whose session is gone, a dead letter and what waits; all of it long ago. */
async function fill(t: Test, path: string): Promise<void> {
  const journal = await openTestJournal(t, path, { now: () => 1_000 })
  await journal.saveSession(sampleSession('kept'), [])
  await journal.saveSession(sampleSession('reset'), [])
  const send = (key: string, n: number) =>
    journal.append(sampleAppend(key, `${n}`, { idempotencyKey: `k${n}` }))
  const answer = async (key: string, n: number, lease: Lease) => {
    const request = sampleAppend(key, `${n}`)
    await journal.append(request)
    const entries = [sampleMessage(key, `answer to ${n}`), sampleEntry('agent.completed', key, `${n}`)]
    await completeEvents(journal, key, [request.event.id], { lease, entries })
  }
  for (const key of ['kept', 'reset', 'gone']) {
    const lease = await journal.lease(key)
    await Promise.all(Array.from({ length: 300 }, (_, n) => answer(key, n, lease)))
  }
  await journal.saveSession(sampleSession('reset'), [], { reset: true })
  const dead = sampleAppend('kept', 'poison')
  await journal.append(dead)
  await completeEvents(journal, 'kept', [dead.event.id], { status: 'failed', error: sampleError })
  await Promise.all(Array.from({ length: 20 }, (_, n) => send('kept', n)))
  await journal.close()
}

/** What retention must not touch. */
const kept = async (journal: GroupedJournal) => ({
  pending: (await journal.pending()).map(({ event: { id, seq } }) => [id, seq]),
  dead: (await journal.deadLetters({ limit: 100 })).map(({ event }) => event.id),
  history: await journal.history('kept', { limit: 2_000 }),
  reset: await journal.history('reset', { limit: 2_000 }),
  head: journal.head,
})

/** What search finds of the conversations that are there. */
const found = async (journal: GroupedJournal) =>
  (await journal.search({ terms: [{ words: ['answer'], prefix: false }], limit: 2_000 })).hits.map(
    ({ seq }) => seq,
  )

const all = (journal: GroupedJournal) => journal.replay(0, journal.head, 10_000)

t.test('killed at any step of retention, it has removed nothing that it does not own up to', async (t) => {
  const folder = await temporaryFolder(t)
  await fill(t, join(folder, 'whole', 'journal.db'))
  copyState(join(folder, 'whole'), join(folder, 'untouched'))
  const before = await openTestJournal(t, join(folder, 'untouched', 'journal.db'))
  const entries = await all(before)
  const facts = await kept(before)
  copyState(join(folder, 'whole'), join(folder, 'done'))
  await run(process.execPath, [PROGRAM, join(folder, 'done', 'journal.db')])
  const done = await openTestJournal(t, join(folder, 'done', 'journal.db'))
  const remaining = await all(done)
  const answers = await found(done)
  t.equal(answers.length, 300, 'of the conversation that goes on, and of no other')
  t.ok(remaining.length < entries.length, `${entries.length - remaining.length} entries are due`)

  for (const death of RETENTION) {
    const name = death.join('-')
    const path = join(folder, name, 'journal.db')
    copyState(join(folder, 'whole'), join(folder, name))
    const env = { ...process.env, ...dying(death).env }
    const died = await run(process.execPath, [PROGRAM, path], { env }).catch(({ signal }) => signal)
    t.equal(died, 'SIGKILL', `dies at ${name}`)

    const journal = await openTestJournal(t, path)
    t.same(await kept(journal), facts, 'what waits, dead letters and conversations are there')
    const left = await all(journal)
    const lost = entries.filter(({ seq }) => !left.some((entry) => entry.seq === seq))
    const wrong = lost.filter(({ seq }) => journal.holds(seq - 1))
    t.same(wrong, [], `${lost.length} were removed, and nobody is told that they are held`)
    await journal.close()

    await run(process.execPath, [PROGRAM, path])
    const after = await openTestJournal(t, path)
    t.same(await all(after), remaining, 'the next round ends what this one began')
    t.same(await found(after), answers, 'each message is found once')
    await after.close()
  }
})

t.test('killed while it shortens a conversation, it has shortened it whole or not at all', async (t) => {
  const folder = await temporaryFolder(t)
  await fill(t, join(folder, 'whole', 'journal.db'))
  for (const death of TRIMMING) {
    const path = join(folder, death.join('-'), 'journal.db')
    copyState(join(folder, 'whole'), join(folder, death.join('-')))
    const before = await openTestJournal(t, path)
    const facts = await kept(before)
    await before.close()
    const env = { ...process.env, ...dying(death).env }
    const died = await run(process.execPath, [PROGRAM, path, '100'], { env }).catch(({ signal }) => signal)
    t.equal(died, 'SIGKILL', `dies at ${death.join('-')}`)
    const journal = await openTestJournal(t, path)
    t.same(await kept(journal), facts)
    await journal.close()

    await run(process.execPath, [PROGRAM, path, '100'])
    const after = await openTestJournal(t, path)
    t.same(await kept(after), { ...facts, history: facts.history.slice(-100) })
    await after.close()
  }
})
