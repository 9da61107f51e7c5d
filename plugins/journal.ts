import fp from 'fastify-plugin'
import type { Config } from '../src/config/schema.js'
import { openJournal } from '../src/journal/index.js'
import type { Journal } from '../src/journal/journal.js'
import { journalPath } from '../src/journal/journal-path.js'
import { observeDeadLetters } from '../src/metrics/dead-letters.js'

declare module 'fastify' {
  interface FastifyInstance {
    journal: Journal
  }
}

export interface JournalPluginOptions {
  config: Config
  home: string
  /** Where relative paths of the configuration start. */
  baseDir: string
}

/** Opens the durable log; closes it last, when nothing writes any more. */
export default fp<JournalPluginOptions>(
  async (app, { config, home, baseDir }) => {
    const { instruments } = app.metrics
    const journal = await openJournal({
      ...config.journal,
      path: journalPath({ config, home, baseDir }) ?? undefined,
      maxMessages: config.sessions.maxMessages,
      log: app.log,
      observeCommit: (seconds) => instruments.journalCommitDuration.observe(seconds),
    })
    app.decorate('journal', journal)
    app.addHook('onClose', async () => app.closing.step('journal', () => journal.close()))

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
    observeDeadLetters(
      instruments,
      {
        count: {
          name: 'gateway_dead_letters',
          help: 'Events whose handling failed for good and that were neither retried nor discarded.',
        },
        age: {
          name: 'gateway_dead_letter_oldest_age_seconds',
          help: 'Time since the death of the oldest dead letter; 0 with none.',
        },
      },
      () => journal.deadLetterStats(),
    )
  },
  { name: 'journal', dependencies: ['closing', 'metrics'], fastify: '5.x' },
)
