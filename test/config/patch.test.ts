import t from 'tap'
import { editsBetween, mergePatch, withSecrets, withValueAt } from '../../src/config/patch.js'
import { formatPath, type Path, parsePath } from '../../src/config/paths.js'
import { ConfigError } from '../../src/config/problems.js'
import type { JsonObject } from '../../src/protocol/index.js'
import fc from '../helpers/properties.js'

t.test('a merge patch does what RFC 7396 says', async (t) => {
  for (const [target, patch, result] of [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ] as const) {
    t.strictSame(mergePatch(target, patch), result)
  }
})

t.test('a path leads there and back', async (t) => {
  const step = fc.oneof(fc.string({ minLength: 1, maxLength: 5 }), fc.nat(99))
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.array(step, { maxLength: 4 }), (first, rest) => {
      const path: Path = [first, ...rest]
      t.strictSame(parsePath(formatPath(path)), path)
    }),
  )
  for (const text of ['.', 'a.', '.a', 'a..b', 'a[', 'a[-1]', 'a[x]', 'a["', 'a b', '[0]x']) {
    t.equal(parsePath(text), null, text)
  }
})

t.test('a value is set where it belongs, or the path leads nowhere', async (t) => {
  const root = { a: { b: [1, 2] }, n: null }
  const set = (path: Path, value: unknown) => withValueAt(root, path, value)
  t.strictSame(set(['a', 'b', 1], 3), { a: { b: [1, 3] }, n: null })
  t.strictSame(set(['a', 'b', 2], 3), { a: { b: [1, 2, 3] }, n: null })
  t.strictSame(set(['a', 'b', 0], undefined), { a: { b: [2] }, n: null })
  t.strictSame(set(['n', 'x', 'y'], 1), { a: { b: [1, 2] }, n: { x: { y: 1 } } })
  t.strictSame(set(['a'], undefined), { n: null })
  t.strictSame(root, { a: { b: [1, 2] }, n: null })
  for (const path of [
    ['a', 'b', 4],
    ['a', 'b', 'x'],
    ['a', 0],
    ['q', 0],
  ] as Path[]) {
    t.throws(() => set(path, 1), ConfigError, formatPath(path))
  }
})

t.test('a placeholder is the secret of the same place, in a list of the same name', async (t) => {
  const current = {
    tokens: [{ name: 'a', token: 'A' }, { name: 'b', token: 'B' }, 'C'],
    url: 'https://me:secret@host/x',
    key: 'K',
  }
  const same = (given: JsonObject, result: JsonObject) => t.strictSame(withSecrets(given, current), result)
  same({ key: '***' }, { key: 'K' })
  same({ key: '[redacted]', more: 1 }, { key: 'K', more: 1 })
  same({ url: 'https://[redacted]@host/x' }, { url: 'https://me:secret@host/x' })
  same({ tokens: [{ name: 'b', token: '***' }] }, { tokens: [{ name: 'b', token: 'B' }] })
  same({ tokens: ['x', 'y', '***'] }, { tokens: ['x', 'y', 'C'] })
  for (const given of [
    { other: '***' },
    { tokens: ['***'] },
    { tokens: [{ name: 'c', token: '***' }] },
    { url: 'https://[redacted]@elsewhere/x' },
  ]) {
    t.throws(() => withSecrets(given, current), ConfigError)
  }
})

t.test('edits are the smallest places that differ', async (t) => {
  const before = { a: { x: 1, y: [1, { z: 2 }] }, b: 1 }
  const after = { a: { x: 1, y: [1, { z: 3 }] }, c: { d: 1 } }
  t.strictSame(editsBetween(before, after), [
    { path: ['a', 'y', 1, 'z'], value: 3 },
    { path: ['b'], value: undefined },
    { path: ['c'], value: { d: 1 } },
  ])
})
