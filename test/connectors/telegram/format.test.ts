import t from 'tap'
import { formatMarkdown } from '../../../src/connectors/telegram/format.js'
import fc from '../../helpers/properties.js'

/** What is shown, with each entity as `type:what it covers`. */
function shown(markdown: string): [string, ...string[]] {
  const { text, entities } = formatMarkdown(markdown)
  return [
    text,
    ...entities.map(({ type, offset, length }) => `${type}:${text.slice(offset, offset + length)}`),
  ]
}

t.test('the marks that models write are shown', async (t) => {
  t.strictSame(shown('plain'), ['plain'])
  t.strictSame(shown('😀 **bold** and `code`'), ['😀 bold and code', 'bold:bold', 'code:code'])
  t.strictSame(shown('see [the docs](https://example.com/a?b=c).'), ['see the docs.', 'text_link:the docs'])
  t.strictSame(shown('```\na **b**\n\n`c`\n```\nafter'), ['a **b**\n\n`c`\nafter', 'pre:a **b**\n\n`c`'])
  t.match(formatMarkdown('```c++\nint a;\n```'), { entities: [{ type: 'pre', language: 'c++' }] })
  t.strictSame(shown('```py\nprint('), ['print(', 'pre:print('], 'a block that is still being written')
})

t.test('what only looks like marks stays', async (t) => {
  for (const text of [
    '2 ** 3 ** 4',
    '`',
    '``',
    '**',
    '[a](b)',
    '[x](javascript:alert)',
    'a ``` b',
    '``````',
  ]) {
    t.strictSame(shown(text), [text])
  }
  t.strictSame(shown('```\n```'), ['```\n```'], 'a block of nothing would be an empty message')
})

t.test('any text gives one that is no longer, with entities inside it', async () => {
  const pieces = fc.constantFrom('`', '```', '**', '\n', '[', '](https://a.b)', 'x', ' ', '😀', '```js\n')
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string())), (all) => {
      const markdown = all.join('')
      const { text, entities } = formatMarkdown(markdown)
      let end = 0
      for (const { offset, length } of entities) {
        if (offset < end || length <= 0) return false
        end = offset + length
      }
      return text.length <= markdown.length && end <= text.length && (text.trim() !== '' || text === markdown)
    }),
  )
})
