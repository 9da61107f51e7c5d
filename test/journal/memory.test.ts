import t from 'tap'
import { createMemoryJournal } from '../../src/journal/memory.js'
import { journalSuite } from '../../src/testing/journal-suite.js'
import { comparesWithModel } from './histories.js'

t.test('behaves as every journal does', async (t) => {
  journalSuite(
    (name, body) => t.test(name, () => body()),
    async () => ({
      durable: false,
      open: async (options) => createMemoryJournal(options),
      maintain: (journal) => (journal as ReturnType<typeof createMemoryJournal>).maintain(),
    }),
  )
})

t.test('does what a simple model does, whatever the history', async () => {
  await comparesWithModel({
    durable: false,
    open: async (options) => createMemoryJournal(options),
    runs: 200,
  })
})
