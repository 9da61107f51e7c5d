import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { eventIdOfRun } from '../../src/journal/ids.js'
import { openTestJournal, temporaryFolder } from './helpers.js'

const PROGRAM = fileURLToPath(new URL('./append-forever.js', import.meta.url))

interface Acknowledged {
  readonly appended: Map<string, number>
  readonly completed: Set<string>
}

/** Lets the program write until it has acknowledged so much, then kills it. */
async function killAfter(path: string, count: number, acknowledged: Acknowledged): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let told = 0
  for await (const line of createInterface({ input: child.stdout })) {
    const [kind, seq, id = ''] = line.split(' ')
    if (kind === 'append') acknowledged.appended.set(id, Number(seq))
    else acknowledged.completed.add(id)
    if (++told === count) child.kill('SIGKILL')
  }
  const [, signal] = await exited
  if (signal !== 'SIGKILL') throw new Error('the program ended by itself')
}

t.test(
  'holds everything that was acknowledged, in order, after kill -9 in the middle of writes',
  async (t) => {
    const path = join(await temporaryFolder(t), 'journal.db')
    const acknowledged: Acknowledged = { appended: new Map(), completed: new Set() }
    for (const count of [1, 500, 2_000]) {
      await killAfter(path, count, acknowledged)
      const journal = await openTestJournal(t, path)
      const waiting = await journal.pending()
      const positions = new Map(waiting.map(({ event }) => [event.id, event.seq]))
      let missing = 0
      for (const [id, seq] of acknowledged.appended) {
        const outcome = await journal.outcome(`run_${id.slice('evt_'.length)}`)
        const done = outcome?.status === 'completed' && outcome.message !== null
        if (acknowledged.completed.has(id) ? !done : !done && positions.get(id) !== seq) missing += 1
        if (outcome !== null && eventIdOfRun(outcome.runId) !== id) missing += 1
      }
      t.equal(missing, 0, `nothing of ${acknowledged.appended.size} is missing`)
      t.ok(
        waiting.every(({ event }, n) => event.seq > (waiting[n - 1]?.event.seq ?? 0)),
        'what waits is in order',
      )
      const entries = await journal.replay(0, journal.head, 100_000)
      t.strictSame(
        entries.map(({ seq }) => seq),
        entries.map((_, n) => n + 1),
        'the log has no gap',
      )
      for (const key of ['chat:0:main', 'chat:15:main']) {
        const expected = entries.filter(({ sessionKey }) => sessionKey === key)
        t.strictSame(await journal.history(key, { limit: 100_000 }), expected, 'the history is whole')
      }
      await journal.close()
    }
  },
)
