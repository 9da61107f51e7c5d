import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { newEventIds, newMessageId } from '../src/journal/ids.js'
import type { Entry, Journal } from '../src/journal/index.js'
import { createMemoryJournal } from '../src/journal/memory.js'
import { openSqliteJournal } from '../src/journal/sqlite.js'
import { printTable } from './table.js'

// node dist/benchmarks/journal.js [folder]: durable appends from some senders, each waiting for its acknowledgement, with
// and without the completion of each event (two entries in the commit that marks it done).

const WARM_UP_MS = 500
const RUN_MS = 2_000
const CONTENT = 'x'.repeat(200)
const quiet = () => {}
const options = {
  maxPendingWrites: 50_000,
  retentionMs: 604_800_000,
  idempotencyWindowMs: 86_400_000,
  log: { debug: quiet, info: quiet, warn: console.warn, error: console.error },
}

const entry = (event: string, sessionKey: string, payload: object): Entry => ({
  event,
  sessionKey,
  at: Date.now(),
  payload: JSON.stringify(payload),
})

async function append(journal: Journal, sessionKey: string): Promise<{ eventId: string; runId: string }> {
  const ids = newEventIds()
  const payload = { messageId: newMessageId(), role: 'user', content: CONTENT, ...ids }
  const event = {
    id: ids.eventId,
    runId: ids.runId,
    type: 'message.received',
    source: 'ws',
    sessionKey,
    at: Date.now(),
    payload: { content: CONTENT },
    priority: 'chat' as const,
  }
  await journal.append({ event, entries: [entry('session.message', sessionKey, payload)] })
  return ids
}

async function appendAndComplete(journal: Journal, sessionKey: string): Promise<void> {
  const lease = await journal.lease(sessionKey)
  const ids = await append(journal, sessionKey)
  const messageId = newMessageId()
  const done = await journal.complete({
    lease,
    eventIds: [ids.eventId],
    status: 'completed',
    error: null,
    attempts: 1,
    entries: [
      entry('session.message', sessionKey, { messageId, role: 'assistant', content: CONTENT, ...ids }),
      entry('agent.completed', sessionKey, { ...ids, agent: 'echo', messageId }),
    ],
  })
  if (!done) throw new Error('the completion was refused')
}

/** Nanoseconds that the main thread has run; the kernel counts them by thread. */
async function mainThreadNs(): Promise<number> {
  const text = await readFile(`/proc/self/task/${process.pid}/schedstat`, 'utf8').catch(() => '0')
  return Number(text.split(' ')[0])
}

async function measure(journal: Journal, senders: number, completes: boolean) {
  const work = completes ? appendAndComplete : append
  const keys = Array.from({ length: senders }, (_, n) => `bench:${n}:main`)
  for (const key of keys) {
    const at = Date.now()
    const record = {
      key,
      channel: 'bench',
      title: null,
      agent: null,
      metadata: {},
      paused: false,
      queueMode: null,
    }
    await journal.saveSession({ ...record, createdAt: at, updatedAt: at, resetSeq: 0 }, [])
  }
  const run = async (ms: number) => {
    const end = performance.now() + ms
    let events = 0
    const send = async (key: string) => {
      for (; performance.now() < end; events++) await work(journal, key)
    }
    await Promise.all(keys.map(send))
    return events
  }
  await run(WARM_UP_MS)
  const commits = journal.stats.commits
  const [main, all, start] = [await mainThreadNs(), process.cpuUsage(), performance.now()]
  const events = await run(RUN_MS)
  const seconds = (performance.now() - start) / 1_000
  const mainUs = ((await mainThreadNs()) - main) / 1_000
  const { user, system } = process.cpuUsage(all)
  const operations = completes ? 2 * events : events
  return [
    senders,
    Math.round(events / seconds),
    Math.round(operations / seconds),
    (operations / (journal.stats.commits - commits)).toFixed(1),
    (mainUs / operations).toFixed(2),
    ((user + system - mainUs) / operations).toFixed(2),
  ].map(String)
}

const folder = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'journal-bench-'))
try {
  const rows: string[][] = []
  for (const completes of [false, true]) {
    for (const senders of [1, 64, 512]) {
      for (const type of ['sqlite', 'memory']) {
        const path = join(folder, `${senders}-${completes}.db`)
        const journal =
          type === 'sqlite' ? await openSqliteJournal({ ...options, path }) : createMemoryJournal(options)
        const row = await measure(journal, senders, completes)
        await journal.close()
        rows.push([type, completes ? 'append + complete' : 'append', ...row])
      }
    }
  }
  const head = ['journal', 'each event', 'senders', 'events/s', 'operations/s', 'operations a commit']
  printTable('Journal', [...head, 'main thread µs/operation', 'other threads µs/operation'], rows)
} finally {
  await rm(folder, { recursive: true })
}
