import type { Journal } from '../journal/journal.js'
import type { JournalOptions } from '../journal/options.js'
import type { DefineTest } from './agent-suite.js'
import { deadLetterTests } from './journal-suite-dead-letters.js'
import { documentTests } from './journal-suite-documents.js'
import { eventTests } from './journal-suite-events.js'
import { lifeTests } from './journal-suite-life.js'
import { logTests } from './journal-suite-log.js'
import { outboxTests } from './journal-suite-outbox.js'
import { peerTests } from './journal-suite-peers.js'
import { retentionTests } from './journal-suite-retention.js'
import { searchTests } from './journal-suite-search.js'
import { sessionTests } from './journal-suite-sessions.js'

/** A journal under test. */
export interface JournalHarness {
  /** Opens it. Where it is durable, opening it again after it was closed continues the same journal. */
  open(options: JournalOptions): Promise<Journal>
  readonly durable: boolean
  /** Does a round of retention at once. */
  maintain(journal: Journal): Promise<void>
  /** Removes what the harness made; the suite closes what it opened. */
  close?(): Promise<void>
}

/** What a test of the suite works with. */
export interface JournalTest {
  readonly journal: Journal
  readonly harness: JournalHarness
  /** The journal's clock, in milliseconds. */
  readonly clock: { now: number }
  /** Closes the journal and opens it again with other options. */
  reopen(options?: Partial<JournalOptions>): Promise<Journal>
}

export type DefineJournalTest = (name: string, body: (test: JournalTest) => Promise<void>) => void

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** What every journal must do (spec §3). `create` makes a fresh harness for each test. */
export function journalSuite(test: DefineTest, create: () => Promise<JournalHarness>): void {
  const within: DefineJournalTest = (name, body) =>
    test(name, async () => {
      const harness = await create()
      const clock = { now: 1_000_000 }
      const options = {
        maxPendingWrites: 1_000,
        retentionMs: 100_000,
        idempotencyWindowMs: 10_000,
        log: silent,
        now: () => clock.now,
      }
      const opened: Journal[] = []
      const open = async (overrides: Partial<JournalOptions>) => {
        const journal = await harness.open({ ...options, ...overrides })
        opened.push(journal)
        return journal
      }
      const reopen = async (overrides: Partial<JournalOptions> = {}) => {
        await opened.at(-1)?.close()
        return open(overrides)
      }
      try {
        await body({ journal: await open({}), harness, clock, reopen })
      } finally {
        await Promise.all(opened.map((journal) => journal.close()))
        await harness.close?.()
      }
    })

  logTests(within)
  eventTests(within)
  sessionTests(within)
  searchTests(within)
  deadLetterTests(within)
  outboxTests(within)
  peerTests(within)
  documentTests(within)
  retentionTests(within)
  lifeTests(within)
}
