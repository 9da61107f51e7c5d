import t from 'tap'
import { cutMessage, splitMessage } from '../../src/connectors/split.js'
import fc from '../helpers/properties.js'

const bytes = (text: string) => Buffer.byteLength(text)
const lines = (count: number, of = 'line') => Array.from({ length: count }, (_, n) => `${of} ${n}`).join('\n')

t.test('what fits is one message, and nothing is none', async (t) => {
  t.strictSame(splitMessage('hello', 5), ['hello'])
  t.strictSame(splitMessage('', 5), [])
  t.strictSame(splitMessage(' \n ', 2), [])
})

t.test('prefers the end of a paragraph, of a line, of a sentence, of a word', async (t) => {
  t.strictSame(splitMessage('one two\nthree\n\nfour five six', 20), ['one two\nthree', 'four five six'])
  t.strictSame(splitMessage('one two three\nfour five six', 20), ['one two three', 'four five six'])
  t.strictSame(splitMessage('One two three. Four five six.', 20), ['One two three.', 'Four five six.'])
  t.strictSame(splitMessage('one two three four five six', 20), ['one two three four', 'five six'])
  t.strictSame(splitMessage('一二三四五。六七八九十一二', 10), ['一二三四五。', '六七八九十一二'])
  t.strictSame(splitMessage('x'.repeat(25), 10), ['x'.repeat(10), 'x'.repeat(10), 'x'.repeat(5)])
})

t.test('a code block that fits into a message stays whole', async (t) => {
  const block = `\`\`\`js\n${lines(4)}\n\`\`\``
  const parts = splitMessage(`Before, some words.\n${block}\nAfter.`, 50)
  t.strictSame(parts, ['Before, some words.', `${block}\nAfter.`])
})

t.test('a longer one is closed, and opened again with its language', async (t) => {
  const parts = splitMessage(`Look:\n\n~~~ts\n${lines(30)}\n~~~\nDone.`, 100)
  t.ok(parts.length > 2)
  for (const part of parts.slice(1)) t.match(part, /^~~~ts\nline/)
  for (const part of parts.slice(0, -1)) t.match(part, /\n~~~$/)
  t.match(parts.at(-1), /\n~~~\nDone\.$/)
  t.equal(parts.join('\n').match(/^line \d+$/gm)!.length, 30)
})

t.test('a block that ends with its message leaves no empty one behind', async (t) => {
  const text = `\`\`\`js\n${'x'.repeat(33)}\n\`\`\`\nand more text`
  for (let max = 36; max < 60; max++) {
    for (const part of splitMessage(text, max)) t.notMatch(part, /^```js\n```/)
  }
})

t.test('a block that the text does not close is closed', async (t) => {
  t.strictSame(splitMessage('```\nx', 100), ['```\nx\n```'])
})

t.test('characters are not broken, as long as they fit', async (t) => {
  const family = '👨‍👩‍👧‍👦'
  t.strictSame(splitMessage(family.repeat(3), family.length + 3), [family, family, family])
  t.strictSame(splitMessage('🙂🙂🙂', 5), ['🙂🙂', '🙂'])
  t.equal(splitMessage(family, 5).join(''), family)
  t.strictSame(splitMessage('éé', 3, bytes), ['é', 'é'])
  t.strictSame(splitMessage('🙂🙂', 1), ['🙂', '🙂'])
})

t.test('counts as the platform does', async (t) => {
  for (const part of splitMessage('äöü '.repeat(100), 50, bytes)) t.ok(bytes(part) <= 50)
})

t.test('a long text is split in no time', async (t) => {
  const parts = splitMessage(`${lines(200_000)}\n\`\`\`\n${'y'.repeat(500_000)}\n\`\`\``, 4_096)
  t.ok(parts.every(({ length }) => length <= 4_096))
})

/** Whether every fence that is opened in the part is closed in it. */
function isBalanced(part: string): boolean {
  let open: string | null = null
  for (const line of part.split('\n')) {
    const [, marker, info] = /^ {0,3}(`{3,}|~{3,})([^\n]*)$/.exec(line) ?? []
    if (marker === undefined) continue
    if (open === null) open = marker[0] === '`' && info!.includes('`') ? null : marker
    else if (marker[0] === open[0] && marker.length >= open.length && info!.trim() === '') open = null
  }
  return open === null
}

const words = fc
  .array(
    fc.oneof(
      fc.constantFrom(' ', '  ', '. ', '。', '👨‍👩‍👧‍👦', '🙂', 'ä'),
      fc.stringMatching(/^[a-z]{1,30}$/),
      fc.string({ unit: 'binary', maxLength: 20 }),
    ),
    { maxLength: 12 },
  )
  .map((fragments) => fragments.join('').replace(/[`~\n]/g, ''))
const line = fc.oneof(words, fc.constantFrom('', '```', '```js', '````', '~~~', '~~~ py', '  ```'))

t.test('whatever the text: parts within the limit, nothing lost, blocks balanced', async (t) => {
  const texts = fc.array(line, { maxLength: 30 }).map((lines) => lines.join('\n'))
  const counts = fc.constantFrom(
    (text: string) => text.length,
    bytes,
    (text: string) => [...text].length,
  )
  fc.assert(
    fc.property(texts, fc.integer({ min: 48, max: 300 }), counts, (text, maxLength, lengthOf) => {
      const pieces = cutMessage(text, maxLength, lengthOf)
      if (pieces.map(({ raw }) => raw).join('') !== text) throw new Error('the pieces are not the text')
      for (const { raw, body, prefix, suffix } of pieces) {
        const part = prefix + body + suffix
        if (lengthOf(part) > maxLength) throw new Error(`too long: ${JSON.stringify(part)}`)
        if (!isBalanced(part)) throw new Error(`not balanced: ${JSON.stringify(part)}`)
        const said = (of: string) => of.replace(/[\s`~]/g, '')
        if (said(raw) !== said(body)) throw new Error(`lost: ${JSON.stringify([raw, body])}`)
      }
    }),
    { numRuns: 2_000 },
  )
  t.pass()
})
