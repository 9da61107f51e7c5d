import { join } from 'node:path'
import t from 'tap'
import { createMemoryJournal } from '../../src/journal/memory.js'
import type { SearchTerm } from '../../src/journal/search.js'
import { wordsOf } from '../../src/journal/words.js'
import { parseQuery } from '../../src/sessions/search-terms.js'
import { sampleAppend, sampleSession } from '../../src/testing/journal-samples.js'
import fc from '../helpers/properties.js'
import { journalOptions, openTestJournal, temporaryFolder } from './helpers.js'

const words = (text: string) => Array.from(wordsOf(text), (word) => word.text)

t.test(
  'words are compared without capitals and accents, each character of unspaced writing alone',
  async (t) => {
    t.strictSame(words('The Café, naïve: ÉTÉ!'), ['the', 'cafe', 'naive', 'ete'])
    t.strictSame(words('snake_case x-y 3.14'), ['snake', 'case', 'x', 'y', '3', '14'])
    t.strictSame(words('鯨 whaleの肉'), ['鯨', 'whale', 'の', '肉'])
    t.strictSame(words('ﬁne ½ ⑴'), ['fine', '1', '2', '1'])
    t.strictSame(words('😀 … \u0000 \ud800'), [])
    t.equal(words('x'.repeat(1_000))[0]?.length, 64)
    const text = 'Ça va, ﬁn'
    t.strictSame(
      Array.from(wordsOf(text), ({ from, to }) => text.slice(from, to)),
      ['Ça', 'va', 'ﬁn'],
    )
  },
)

t.test('whatever someone types is a query, or has no word', async (t) => {
  t.strictSame(parseQuery('blue "white whale" swim*'), [
    { words: ['blue'], prefix: false },
    { words: ['white', 'whale'], prefix: false },
    { words: ['swim'], prefix: true },
  ])
  t.strictSame(parseQuery('"open phrase'), [{ words: ['open', 'phrase'], prefix: false }])
  t.strictSame(parseQuery('e-mail* "a b"*'), [
    { words: ['e', 'mail'], prefix: true },
    { words: ['a', 'b'], prefix: true },
  ])
  for (const query of ['', ' ', '*', '""', '"*"', '-', '()']) {
    t.throws(() => parseQuery(query), { code: 'INVALID_REQUEST', details: { path: 'params.query' } }, query)
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (query) => {
      try {
        return parseQuery(query).every((term) => term.words.length > 0)
      } catch (error) {
        return (error as { code?: string }).code === 'INVALID_REQUEST'
      }
    }),
  )
})

const word = fc.constantFrom('a', 'ab', 'abc', 'É', '鯨', 'AND', 'ß', '½', 'x*')
const text = fc.oneof(
  { weight: 4, arbitrary: fc.array(word, { maxLength: 6 }).map((parts) => parts.join(' ')) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
)
const term: fc.Arbitrary<SearchTerm> = fc
  .record({ text, prefix: fc.boolean() })
  .map(({ text, prefix }) => ({ words: words(text), prefix }))
  .filter((term) => term.words.length > 0)
const KEYS = ['a:1', 'a:2', 'b:1']
const said = fc.record({ key: fc.constantFrom(...KEYS), text })
const asked = fc.record({
  terms: fc.array(term, { minLength: 1, maxLength: 3 }),
  sessionKey: fc.option(fc.constantFrom(...KEYS), { nil: undefined, freq: 3 }),
  channel: fc.option(fc.constantFrom('a', 'b'), { nil: undefined, freq: 3 }),
  before: fc.option(fc.integer({ min: 1, max: 25 }), { nil: undefined }),
  limit: fc.integer({ min: 1, max: 5 }),
})

t.test('the index finds what a look at each message finds, whatever was said and is asked', async (t) => {
  const folder = await temporaryFolder(t)
  let n = 0
  const property = fc.asyncProperty(
    fc.array(said, { minLength: 1, maxLength: 20 }),
    fc.array(asked, { minLength: 1, maxLength: 12 }),
    fc.option(fc.constantFrom(...KEYS), { nil: undefined }),
    async (messages, queries, gone) => {
      const scan = createMemoryJournal(journalOptions())
      const index = await openTestJournal(t, join(folder, `${n++}.db`))
      for (const journal of [scan, index]) {
        for (const key of KEYS) await journal.saveSession(sampleSession(key), [])
        await Promise.all(messages.map(({ key, text }) => journal.append(sampleAppend(key, text))))
        if (gone !== undefined) await journal.deleteSession(gone, [])
      }
      for (const query of queries) t.strictSame(await index.search(query), await scan.search(query))
      await Promise.all([scan.close(), index.close()])
    },
  )
  await fc.assert(property, { numRuns: 15 })
})

t.test('what is removed leaves the index in the background, and nothing of it is found before', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  const journal = await openTestJournal(t, path)
  await journal.saveSession(sampleSession('a:1'), [])
  await Promise.all(Array.from({ length: 300 }, (_, n) => journal.append(sampleAppend('a:1', `whale ${n}`))))
  const query = { terms: parseQuery('whale'), limit: 500 }
  await journal.maintain()
  t.equal((await journal.search(query)).hits.length, 300)
  await journal.deleteSession('a:1', [])
  t.strictSame(await journal.search(query), { hits: [], next: null, upToDate: true })
  await journal.maintain()
  await journal.saveSession(sampleSession('a:1'), [])
  await journal.append(sampleAppend('a:1', 'the last whale'))
  t.equal((await journal.search(query)).hits.length, 1)
})
