import assert from 'node:assert/strict'
import type { Entry, Journal, SessionRecord, StoredEntry } from '../../src/journal/journal.js'
import type { JournalOptions } from '../../src/journal/options.js'
import { sampleAppend, sampleEntry, sampleMessage, sampleSession } from '../../src/testing/journal-samples.js'
import fc from '../helpers/properties.js'
import { journalOptions } from './helpers.js'

const KEYS = ['a', 'b:c', 'ü']

type Step =
  | { do: 'append'; key: string; messages: number; create: boolean; idempotencyKey: string | undefined }
  | { do: 'complete'; nth: number; failed: boolean; messages: number; others: number[]; merges: boolean }
  | { do: 'revive' | 'discard'; nth: number }
  | { do: 'save'; key: string; reset: boolean }
  | { do: 'delete'; key: string }
  | { do: 'wait'; ms: number }
  | { do: 'reopen' }

const key = fc.constantFrom(...KEYS)
const nth = fc.nat(40)
const messages = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      key,
      messages,
      create: fc.boolean(),
      idempotencyKey: fc.option(fc.constantFrom('k1', 'k2'), { nil: undefined }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('complete' as const),
      nth,
      failed: fc.boolean(),
      messages,
      others: fc.array(nth, { maxLength: 3 }),
      merges: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('revive' as const, 'discard' as const), nth }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('save' as const), key, reset: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 500, 1_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
)

interface ModelEvent {
  readonly id: string
  readonly runId: string
  readonly key: string
  readonly seq: number
  /** The life of the session that it was accepted into; null: there was none. */
  readonly life: object | null
  status: 'pending' | 'completed' | 'failed' | 'discarded'
  reply: number | null
  mergedInto: string | null
  diedAt: number
}

interface ModelSession {
  record: SessionRecord
  readonly life: object
}

const WINDOW_MS = 1_000

/** A journal as one would describe it: lists, and a search through them. */
class Model {
  now = 1_000_000
  seq = 0
  entries: (StoredEntry & { life: object | null })[] = []
  events: ModelEvent[] = []
  sessions = new Map<string, ModelSession>()
  keys: { session: string; key: string; event: ModelEvent; at: number }[] = []

  log(entries: readonly Entry[]): number[] {
    return entries.map((entry) => {
      const life = entry.event === 'session.message' ? this.sessions.get(entry.sessionKey ?? '')?.life : null
      this.entries.push({ ...entry, seq: ++this.seq, life: life ?? null })
      return this.seq
    })
  }

  duplicate(session: string, key: string | undefined): ModelEvent | undefined {
    return this.keys.findLast((known) => {
      return known.session === session && known.key === key && known.at > this.now - WINDOW_MS
    })?.event
  }

  history(key: string): number[] {
    const session = this.sessions.get(key)
    if (session === undefined) return []
    return this.entries
      .filter(({ seq, life }) => life === session.life && seq > session.record.resetSeq)
      .map(({ seq }) => seq)
  }

  remove(key: string): boolean {
    const session = this.sessions.get(key)
    if (session === undefined) return false
    this.sessions.delete(key)
    this.entries = this.entries.filter(({ life }) => life !== session.life)
    this.events = this.events.filter((event) => {
      const own = event.life === session.life && event.status !== 'pending'
      return !own && !(event.key === key && event.status === 'failed')
    })
    this.keys = this.keys.filter(
      (known) =>
        known.session !== key || (known.event.status === 'pending' && this.events.includes(known.event)),
    )
    return true
  }
}

export interface HistoryOptions {
  /** Each history has a journal of its own, which it opens again. */
  open(options: JournalOptions, history: number): Promise<Journal>
  readonly durable: boolean
  readonly runs: number
}

/** Does random histories on a journal and on the model, and compares every answer and all that can be read. */
export async function comparesWithModel({ open, durable, runs }: HistoryOptions): Promise<void> {
  let histories = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const model = new Model()
      const options = { ...journalOptions(), idempotencyWindowMs: WINDOW_MS, now: () => model.now }
      const history = ++histories
      let journal = await open(options, history)
      try {
        for (const step of steps) {
          if (step.do !== 'reopen') await take(step, model, journal)
          else if (durable) {
            await journal.close()
            journal = await open(options, history)
          }
        }
        await compare(model, journal)
      } finally {
        await journal.close()
      }
    }),
    { numRuns: runs },
  )
}

const messagesOf = (count: number, key: string, at: number) =>
  Array.from({ length: count }, (_, n) => sampleMessage(key, `${n}`, at))

async function take(step: Exclude<Step, { do: 'reopen' }>, model: Model, journal: Journal): Promise<void> {
  switch (step.do) {
    case 'append':
      return append(step, model, journal)
    case 'complete':
      return complete(step, model, journal)
    case 'revive':
    case 'discard': {
      const event = model.events[step.nth]
      const expected = event?.status === 'failed'
      assert.equal(await journal[step.do](event?.id ?? 'evt_none'), expected)
      if (event === undefined || !expected) return
      event.status = step.do === 'revive' ? 'pending' : 'discarded'
      if (step.do === 'revive') Object.assign(event, { reply: null, mergedInto: null })
      return
    }
    case 'save': {
      const before = model.sessions.get(step.key)
      const resetSeq = step.reset ? model.seq : (before?.record.resetSeq ?? 0)
      const record = sampleSession(step.key, { title: `${model.seq}`, updatedAt: model.now })
      const saved = await journal.saveSession(record, [], { reset: step.reset })
      assert.deepEqual(saved, { ...record, resetSeq })
      model.sessions.set(step.key, { record: saved, life: before?.life ?? {} })
      return
    }
    case 'delete':
      assert.equal(await journal.deleteSession(step.key, []), model.remove(step.key))
      return
    case 'wait':
      model.now += step.ms
  }
}

async function append(step: Step & { do: 'append' }, model: Model, journal: Journal): Promise<void> {
  const { key, idempotencyKey } = step
  const at = model.now
  const create = {
    record: sampleSession(key, { updatedAt: 1 }),
    entry: sampleEntry('session.created', key, '', at),
  }
  const sample = sampleAppend(key, 'text', { at, idempotencyKey, create: step.create ? create : undefined })
  const request = { ...sample, entries: messagesOf(step.messages, key, at) }
  const result = await journal.append(request)
  const known = idempotencyKey === undefined ? undefined : model.duplicate(key, idempotencyKey)
  if (known !== undefined) {
    assert.equal(result.duplicate?.eventId, known.id)
    return
  }
  if (step.create && !model.sessions.has(key)) {
    model.sessions.set(key, { record: create.record, life: {} })
    model.log([create.entry])
  }
  const seq = model.log(request.entries).at(-1) ?? ++model.seq
  assert.deepEqual(result, { duplicate: null, seq })
  const { id, runId } = request.event
  const session = model.sessions.get(key)
  const life = session?.life ?? null
  const end = { status: 'pending', reply: null, mergedInto: null, diedAt: 0 } as const
  const stored: ModelEvent = { id, runId, key, seq, life, ...end }
  model.events.push(stored)
  if (session) session.record = { ...session.record, updatedAt: Math.max(session.record.updatedAt, at) }
  if (idempotencyKey !== undefined) model.keys.push({ session: key, key: idempotencyKey, event: stored, at })
}

async function complete(step: Step & { do: 'complete' }, model: Model, journal: Journal): Promise<void> {
  const event = model.events[step.nth]
  const key = event?.key ?? 'a'
  // Others of the same session as a rule: none of another one could ever end with it.
  const mates = model.events.filter((other) => other.key === key || step.nth % 8 === 0)
  const others = step.others.map((n) => mates[n % mates.length])
  const all = [...new Set([event, ...others])]
  const entries = messagesOf(step.messages, key, model.now)
  const status = step.failed ? 'failed' : 'completed'
  const lease = await journal.lease(key)
  const request = {
    lease,
    eventIds: all.map((one) => one?.id ?? 'evt_none'),
    mergedInto: step.merges ? (event?.runId ?? 'run_none') : null,
    status,
    error: null,
    attempts: 1,
    entries,
  } as const
  const expected = all.every((one) => one?.status === 'pending' && one.key === key)
  assert.equal(await journal.complete(request), expected)
  if (!expected) return
  const reply = model.log(entries)[0] ?? null
  for (const one of all as ModelEvent[]) {
    const mergedInto = one === event ? null : request.mergedInto
    Object.assign(one, { status, reply, mergedInto, diedAt: model.now })
  }
}

async function compare(model: Model, journal: Journal): Promise<void> {
  assert.equal(journal.head, model.seq)
  const stored = model.entries.map(({ life: _, ...entry }) => entry)
  assert.deepEqual(await journal.replay(0, journal.head, 1_000), stored)
  const ids = (status: ModelEvent['status']) =>
    model.events.filter((event) => event.status === status).sort((a, b) => a.seq - b.seq)
  assert.deepEqual(
    (await journal.pending()).map(({ event: { id, seq } }) => ({ id, seq })),
    ids('pending').map(({ id, seq }) => ({ id, seq })),
  )
  assert.deepEqual(
    (await journal.deadLetters({ limit: 1_000 })).map(({ event, mergedInto }) => [event.id, mergedInto]),
    ids('failed').map(({ id, mergedInto }) => [id, mergedInto]),
  )
  assert.deepEqual(await journal.deadLetterStats(), {
    count: ids('failed').length,
    oldestAt: ids('failed').reduce<number | null>((at, { diedAt }) => Math.min(at ?? diedAt, diedAt), null),
  })
  for (const { runId, status, reply, mergedInto } of model.events) {
    const outcome = await journal.outcome(runId)
    assert.equal(outcome?.mergedInto, mergedInto)
    assert.equal(outcome?.status, status === 'discarded' ? 'failed' : status)
    const held = reply !== null && stored.some(({ seq }) => seq === reply)
    assert.equal(outcome?.message?.seq ?? null, held ? reply : null)
  }
  for (const key of KEYS) {
    assert.deepEqual(await journal.session(key), model.sessions.get(key)?.record ?? null)
    const history = await journal.history(key, { limit: 1_000 })
    assert.deepEqual(
      history.map(({ seq }) => seq),
      model.history(key),
    )
    for (const idempotencyKey of ['k1', 'k2']) {
      const known = await journal.findDuplicate(key, idempotencyKey)
      assert.equal(known?.eventId, model.duplicate(key, idempotencyKey)?.id)
    }
  }
}
