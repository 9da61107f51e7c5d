import t from 'tap'
import { editText } from '../../src/config/edit-text.js'
import { parseConfigText } from '../../src/config/file.js'
import { ConfigError } from '../../src/config/problems.js'
import type { JsonObject } from '../../src/protocol/index.js'
import fc from '../helpers/properties.js'
import { json } from './arbitrary.js'

async function parsed(text: string, path = '/c.yaml'): Promise<JsonObject> {
  return (await parseConfigText(path, text, []))!.value
}

t.test('YAML keeps comments, order, quotes and what nobody touched', async (t) => {
  const text = `# top

host: 127.0.0.1 # here
# serial
lanes:
  # how many
  capacity: 5 # at most
  concurrency: 64
connectors:
  tg: { type: telegram, allow: ["1", '2'] } # ours

# the end
`
  const before = await parsed(text)
  const after = structuredClone(before) as { lanes: JsonObject; connectors: { tg: JsonObject } }
  after.lanes.capacity = 7
  delete after.lanes.concurrency
  after.connectors.tg.typing = false
  t.equal(
    await editText('/c.yaml', text, before, after),
    text
      .replace('capacity: 5 #', 'capacity: 7 #')
      .replace('  concurrency: 64\n', '')
      .replace(`["1", '2'] }`, `[ "1", '2' ], typing: false }`),
  )
})

t.test('an empty file, one of comments, and sections without a value take new keys', async (t) => {
  for (const [text, result] of [
    ['', 'lanes:\n  capacity: 1\n'],
    ['# only this\n', '# only this\n\nlanes:\n  capacity: 1\n'],
    ['lanes:\nport: 1\n', 'lanes:\n  capacity: 1\nport: 1\n'],
    ['lanes: # soon\n', 'lanes:\n  # soon\n  capacity: 1\n'],
  ] as const) {
    const before = await parsed(text)
    t.equal(await editText('/c.yaml', text, before, { ...before, lanes: { capacity: 1 } }), result)
  }
})

t.test('whatever is set is read again as it was, in YAML and JSON', async (t) => {
  await fc.assert(
    fc.asyncProperty(json, fc.constantFrom('/c.yaml', '/c.json'), async (one, path) => {
      const text = path === '/c.json' ? '{"a": {"b": 1}}' : '# kept\na:\n  b: 1\n'
      if (one === null) return
      const after = { a: { b: one } } as JsonObject
      const edited = await editText(path, text, { a: { b: 1 } }, after)
      t.strictSame(await parsed(edited, path), after)
    }),
    { numRuns: 200 },
  )
  for (const tricky of [
    '2024-01-01',
    '1_000',
    '0o17',
    'yes',
    'null',
    '~',
    '*a',
    '&b',
    '!c',
    '#d',
    ': e',
    '- f',
    '12:30:45',
    ' x',
    'a: b',
  ]) {
    const edited = await editText('/c.yaml', 'a: 1\n', { a: 1 }, { a: tricky })
    t.strictSame(await parsed(edited), { a: tricky }, tricky)
  }
})

t.test('what cannot be edited without a loss is left alone', async (t) => {
  const text = 'one: &x { a: 1 }\ntwo: *x\n'
  const before = await parsed(text)
  await t.rejects(editText('/c.yaml', text, before, { ...before, two: { a: 1, b: 2 } }), ConfigError)
})
