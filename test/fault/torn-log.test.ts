import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { StoredEntry } from '../../src/journal/journal.js'
import { sampleAppend } from '../../src/testing/journal-samples.js'
import { temporaryFolder } from '../helpers/app.js'
import { startGateway } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'
import { openTestJournal } from '../journal/helpers.js'
import { copyState } from './faults.js'
import { Ledger } from './ledger.js'

const SEEDS = Array.from({ length: 24 }, (_, seed) => seed + 1)

/** The same numbers in [0, 1) for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed * 0x9e3779b9
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Cuts the log off, overwrites a part, flips a bit, or adds what never belonged to it. Says what it did. */
function tear(path: string, seed: number): string {
  const random = randomOf(seed)
  const file = openSync(path, 'r+')
  const { size } = fstatSync(file)
  const at = Math.floor(random() * size)
  const length = Math.min(size - at, 1 + Math.floor(random() * 20_000))
  const noise = Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))
  try {
    switch (seed % 4) {
      case 0:
        ftruncateSync(file, at)
        return `cut off at ${at} of ${size}`
      case 1:
        writeSync(file, noise, 0, length, at)
        return `${length} bytes of noise at ${at} of ${size}`
      case 2: {
        const byte = Buffer.alloc(1)
        readSync(file, byte, 0, 1, at)
        byte[0] = byte[0]! ^ (1 << Math.floor(random() * 8))
        writeSync(file, byte, 0, 1, at)
        return `a bit flipped at ${at} of ${size}`
      }
      default:
        ftruncateSync(file, at)
        writeSync(file, noise, 0, length, at)
        return `cut off at ${at} of ${size}, and ${length} bytes of noise`
    }
  } finally {
    closeSync(file)
  }
}

const FINAL = 'agent.completed'
const runOf = ({ payload }: StoredEntry): string => JSON.parse(payload).runId
const isQuestion = ({ event, payload }: StoredEntry) =>
  event === 'session.message' && JSON.parse(payload).role === 'user'

/** What the journal in this folder holds must be the state after one of its commits; new work must go on from there. */
async function holdsPrefix(t: Test, home: string, whole: readonly StoredEntry[]): Promise<number> {
  const journal = await openTestJournal(t, join(home, 'journal.db'))
  const held = await journal.replay(0, journal.head, 10_000)
  t.same(held, whole.slice(0, held.length), 'it is a prefix')
  t.equal(journal.head, held.length, 'that ends at its head')
  const finished = new Set(held.filter(({ event }) => event === FINAL).map(runOf))
  const waiting = held.filter((entry) => isQuestion(entry) && !finished.has(runOf(entry)))
  t.same(
    (await journal.pending()).map(({ event }) => [event.runId, event.seq]),
    waiting.map((entry) => [runOf(entry), entry.seq]),
    'what has no outcome waits',
  )
  for (const runId of finished) {
    const outcome = await journal.outcome(runId)
    if (outcome?.status !== 'completed' || outcome.message === null)
      t.fail(`the outcome of ${runId} is missing`)
  }
  for (const { key } of (await journal.sessions({ limit: 100 })).sessions) {
    const messages = held.filter(({ event, sessionKey }) => event === 'session.message' && sessionKey === key)
    t.same(await journal.history(key, { limit: 1_000 }), messages, `the history of ${key} is whole`)
  }
  t.same(await journal.append(sampleAppend('chat:0:main', 'new')), {
    duplicate: null,
    seq: held.length + 1,
  })
  await journal.close()
  return held.length
}

t.test('of a log that was torn or damaged, what comes before that is there', async (t) => {
  const ledger = await Ledger.create(t, { messages: 12 })
  const gateway = await ledger.start()
  await ledger.drive(gateway)
  await ledger.settled(gateway)
  await gateway.kill9()
  const folder = await temporaryFolder(t)
  copyState(ledger.home, join(folder, 'whole'))
  const journal = await openTestJournal(t, join(folder, 'whole', 'journal.db'))
  const whole = await journal.replay(0, journal.head, 10_000)
  t.equal(whole.length, 3 + 3 * ledger.total)

  for (const seed of SEEDS) {
    const home = join(folder, `${seed}`)
    copyState(ledger.home, home)
    const how = tear(join(home, 'journal.db-wal'), seed)
    await t.test(`seed ${seed}: ${how}`, async (t) => {
      const length = await holdsPrefix(t, home, whole)
      t.comment(`holds ${length} of ${whole.length}`)
    })
  }

  await t.test('a gateway starts with it, and goes on', async (t) => {
    const home = join(folder, 'gateway')
    copyState(ledger.home, home)
    const how = tear(join(home, 'journal.db-wal'), 5)
    const next = await startGateway({ home })
    t.teardown(() => next.kill9())
    const socket = await TestSocket.greeted(t, next.wsUrl)
    const last = await socket.call('sessions.send', { content: 'after', wait: true }, 'chat:0:main')
    t.equal(last.outcome.message.content, 'answer to after', how)
    const { messages } = await socket.call('sessions.history', { limit: 100 }, 'chat:0:main')
    const contents = messages.map(({ content }: { content: string }) => content)
    const asked = contents.filter((content: string) => /^m\d/.test(content))
    t.same(
      asked,
      Array.from(asked, (_, n) => `m${n}`),
    )
    const answered = contents.filter((content: string) => content.startsWith('answer'))
    t.same(
      answered,
      [...asked, 'after'].map((content) => `answer to ${content}`),
    )
  })
})
