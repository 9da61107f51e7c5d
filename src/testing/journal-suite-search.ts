import assert from 'node:assert/strict'
import type { Journal } from '../journal/journal.js'
import type { SearchQuery } from '../journal/search.js'
import { completeEvents, sampleAppend, sampleMessage, sampleSession } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const KEY = 'chat:1:main'
const OTHER = 'mail:2:main'

const query = (words: readonly string[], more: Partial<SearchQuery> = {}): SearchQuery => ({
  terms: words.map((word) => ({ words: [word], prefix: false })),
  limit: 100,
  ...more,
})

/** Where the matches are, of all pages. */
async function find(journal: Journal, asked: SearchQuery): Promise<number[]> {
  const found: number[] = []
  for (let before = asked.before; ; ) {
    const { hits, next, upToDate } = await journal.search({ ...asked, before })
    assert.equal(upToDate, true)
    assert(hits.length <= asked.limit)
    found.push(...hits.map(({ seq }) => seq))
    if (next === null) return found
    before = next
  }
}

async function say(journal: Journal, key: string, text: string): Promise<number> {
  const { seq } = await journal.append(sampleAppend(key, text))
  return seq!
}

/** Search in messages. */
export function searchTests(within: DefineJournalTest): void {
  within('finds messages by all of their words, newest first', async ({ journal }) => {
    await journal.saveSession(sampleSession(KEY), [])
    const request = sampleAppend(KEY, 'Where is the BLUE whale?')
    await journal.append(request)
    const answer = sampleMessage(KEY, 'The blue whale is in the café, it’s eating 鯨の肉.')
    await completeEvents(journal, KEY, [request.event.id], { entries: [answer] })
    assert.deepEqual(await find(journal, query(['blue', 'whale'])), [2, 1])
    assert.deepEqual(await find(journal, query(['blue', 'cafe'])), [2])
    assert.deepEqual(await find(journal, query(['blue', 'absent'])), [])
    assert.deepEqual(await find(journal, query(['blue'], { before: 2 })), [1])
    const phrase = (words: string[], prefix = false) => ({ terms: [{ words, prefix }], limit: 1 })
    assert.deepEqual(await find(journal, phrase(['blue', 'whale'])), [2, 1])
    assert.deepEqual(await find(journal, phrase(['whale', 'blue'])), [])
    assert.deepEqual(await find(journal, phrase(['blue', 'wh'], true)), [2, 1])
    assert.deepEqual(await find(journal, phrase(['の', '肉'])), [2])
    const { hits } = await journal.search(query(['cafe']))
    assert.match(hits[0]!.snippet, /blue whale is in the café/)
    assert.deepEqual([hits[0]!.sessionKey, hits[0]!.at], [KEY, 1_000])
  })

  within('searches in a session, in a channel, or in what one may see', async ({ journal }) => {
    for (const key of [KEY, OTHER]) await journal.saveSession(sampleSession(key), [])
    const numbers = Array.from({ length: 250 }, (_, n) => n + 1)
    await Promise.all(numbers.map((n) => say(journal, n % 50 === 0 ? OTHER : KEY, `whale number ${n}`)))
    const rare = [250, 200, 150, 100, 50]
    assert.deepEqual(await find(journal, query(['whale'], { sessionKey: OTHER, limit: 2 })), rare)
    assert.deepEqual(await find(journal, query(['whale'], { channel: 'mail', limit: 2 })), rare)
    assert.deepEqual(await find(journal, query(['whale'], { channel: 'mail', sessionKey: KEY })), [])
    const accept = (key: string) => key === OTHER
    assert.deepEqual(await find(journal, query(['whale'], { accept, limit: 2 })), rare)
    assert.equal((await find(journal, query(['whale'], { limit: 50 }))).length, 250)
  })

  within('finds nothing of what left its conversation', async ({ journal, clock, harness }) => {
    await journal.saveSession(sampleSession(KEY), [])
    const words = query(['whale'])
    await say(journal, KEY, 'whale, said before the reset')
    assert.deepEqual(await find(journal, words), [1])
    await journal.saveSession(sampleSession(KEY), [], { reset: true })
    assert.deepEqual(await find(journal, words), [])
    const after = await say(journal, KEY, 'whale, said after it')
    assert.deepEqual(await find(journal, words), [after])
    await journal.deleteSession(KEY, [])
    assert.deepEqual(await find(journal, words), [])
    const nobodys = await say(journal, KEY, 'whale, said to nobody')
    assert.deepEqual(await find(journal, words), [])
    await journal.saveSession(sampleSession(KEY), [])
    const again = await say(journal, KEY, 'whale, said in another session')
    assert.deepEqual(await find(journal, words), [again])
    clock.now += 1_000_000
    await harness.maintain(journal)
    assert.deepEqual(await find(journal, words), [again])
    assert.notEqual(nobodys, again)
  })

  within('can be turned off', async ({ reopen }) => {
    const journal = await reopen({ search: false })
    await assert.rejects(journal.search(query(['whale'])), { code: 'UNAVAILABLE', retryable: false })
  })
}
