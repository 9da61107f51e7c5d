import { join } from 'node:path'
import fp from 'fastify-plugin'
import type { Config } from '../src/config/schema.js'
import { openJournal } from '../src/journal/index.js'
import type { DeadLetterStats, Journal } from '../src/journal/journal.js'
import type { Instruments } from '../src/metrics/instruments.js'

declare module 'fastify' {
  interface FastifyInstance {
    journal: Journal
  }
}

export interface JournalPluginOptions {
  config: Config
  home: string
}

/** Opens the durable log; closes it last, when nothing writes any more. */
export default fp<JournalPluginOptions>(
  async (app, { config, home }) => {
    const { path = join(home, 'journal.db'), ...options } = config.journal
    const journal = await openJournal({ ...options, path, log: app.log })
    app.decorate('journal', journal)
    app.addHook('onClose', async () => app.closing.step('journal', () => journal.close()))

    const { instruments } = app.metrics
    const { stats } = journal
    instruments.counted('gateway_journal_writes_total', 'Writes to the journal.', ['kind'], (set) => {
      set({ kind: 'append' }, stats.appended)
      set({ kind: 'complete' }, stats.completed)
    })
    instruments.counted(
      'gateway_journal_commits_total',
      'Commits of the journal; each takes all writes that wait.',
      ['outcome'],
      (set) => {
        set({ outcome: 'ok' }, stats.commits)
        set({ outcome: 'failed' }, stats.failedCommits)
      },
    )
    instruments.counted(
      'gateway_journal_append_seconds_total',
      'Time from writes to their commits, summed.',
      [],
      (set) => set({}, stats.commitSeconds),
    )
    instruments.counted(
      'gateway_journal_refused_total',
      'Writes refused because too many waited.',
      [],
      (set) => set({}, stats.refused),
    )
    instruments.gauge('gateway_journal_head', 'Position of the newest durable event.', [], (set) =>
      set({}, journal.head),
    )
    observeDeadLetters(journal, instruments)
  },
  { name: 'journal', dependencies: ['closing', 'metrics'], fastify: '5.x' },
)

function observeDeadLetters(journal: Journal, instruments: Instruments): void {
  let asked: Promise<DeadLetterStats> | null = null
  /** Both gauges of a scrape share one reading. */
  const ask = () => {
    asked ??= journal.deadLetterStats().finally(() => {
      asked = null
    })
    return asked
  }
  instruments.askedGauge(
    'gateway_dead_letters',
    'Events whose handling failed for good and that were neither retried nor discarded.',
    async () => (await ask()).count,
  )
  instruments.askedGauge(
    'gateway_dead_letter_oldest_age_seconds',
    'Time since the death of the oldest dead letter; 0 with none.',
    async () => {
      const { oldestAt } = await ask()
      // A clock that was set back makes it no younger than new.
      return oldestAt === null ? 0 : Math.max(0, Date.now() - oldestAt) / 1_000
    },
  )
}
