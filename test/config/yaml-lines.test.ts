import t from 'tap'
import { yamlLines } from '../../src/config/yaml-lines.js'

const text = `# a comment: here
---
host: 127.0.0.1
"auth":
  tokens:
    - name: ci
      token: "a: b"

    - plain
  allowedHosts:
  - one
  - two
agents:
  'helper':
    type: openai
    prompt: |
      port: 99
      lanes:

        capacity: 1
    after: 1
  folded:
    - >-
      text: here
    - x
flow: { a: 1,
  b: 2 }
port: 5
`

t.test('keys and list items of block style have their own lines', async (t) => {
  const lineOf = yamlLines(text)
  const expected: [path: (string | number)[], line: number][] = [
    [['host'], 3],
    [['auth'], 4],
    [['auth', 'tokens'], 5],
    [['auth', 'tokens', 0], 6],
    [['auth', 'tokens', 0, 'token'], 7],
    [['auth', 'tokens', 1], 9],
    [['auth', 'allowedHosts', 1], 12],
    [['agents', 'helper', 'type'], 15],
    [['agents', 'helper', 'after'], 21],
    [['agents', 'folded', 1], 25],
    [['port'], 28],
  ]
  for (const [path, line] of expected) t.equal(lineOf(path), line, path.join('.'))
})

t.test('what has no line of its own gets that of the thing around it, or none', async (t) => {
  const lineOf = yamlLines(text)
  t.equal(lineOf(['flow', 'a']), 26)
  t.equal(lineOf(['agents', 'helper', 'missing', 'deeper']), 14)
  t.equal(lineOf(['missing']), undefined)
  t.equal(lineOf(['lanes', 'capacity']), undefined)
})

t.test('a list at the top and windows line ends are read', async (t) => {
  const lineOf = yamlLines('- a: 1\r\n  b: 2\r\n- c: 3\r\n')
  t.equal(lineOf([0, 'b']), 2)
  t.equal(lineOf([1, 'c']), 3)
})
