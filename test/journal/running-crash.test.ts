import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { completeEvents } from '../../src/testing/journal-samples.js'
import { openTestJournal, temporaryFolder } from './helpers.js'

const PROGRAM = fileURLToPath(new URL('./handle-forever.js', import.meta.url))

/** Lets the program be at work with its events, and ends it. Resolves with the crashes that it found at its start. */
async function dieAtWork(path: string, death: 'kill' | 'fault'): Promise<unknown> {
  const child = spawn(process.execPath, [PROGRAM, path, death], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let found: unknown = null
  for await (const line of createInterface({ input: child.stdout })) {
    found = JSON.parse(line)
    if (death === 'kill') child.kill('SIGKILL')
  }
  const [, signal] = await exited
  if (signal !== 'SIGKILL' && signal !== 'SIGSEGV') throw new Error('the program ended by itself')
  return found
}

t.test('counts the deaths of the process, however it dies, for what it was at work with', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  t.strictSame(await dieAtWork(path, 'kill'), [])
  t.strictSame(await dieAtWork(path, 'kill'), [1, 1, 0, 0])
  t.strictSame(await dieAtWork(path, 'fault'), [2, 2, 0, 0])

  const journal = await openTestJournal(t, path)
  const pending = await journal.pending()
  t.strictSame(
    pending.map(({ event, crashes }) => [event.payload.content, crashes]),
    [
      ['handled', 3],
      ['merged', 3],
      ['waits for another try', 0],
      ['waiting', 0],
    ],
  )
  const [handled, merged] = pending.map(({ event }) => event.id)
  journal.begun([handled!])
  t.ok(await completeEvents(journal, 'chat:1:main', [handled!], { status: 'failed' }))
  t.ok(await journal.revive(handled!))
  await journal.close()

  const again = await openTestJournal(t, path)
  t.strictSame(
    (await again.pending()).map(({ crashes }) => crashes),
    [0, 3, 0, 0],
    'a retried dead letter begins anew, an orderly stop keeps the rest',
  )
  t.ok(await completeEvents(again, 'chat:1:main', [merged!]))
})
