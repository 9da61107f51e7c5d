import t from 'tap'
import { createTemplate, valueAt } from '../../src/connectors/template.js'
import fc from '../helpers/properties.js'

const fill = (text: string, payload: unknown) => createTemplate(text, ['payload']).fill({ payload })

t.test('fills in what its paths lead to', (t) => {
  const payload = { a: { b: ['x', { c: 'y' }] }, n: 0, f: false, o: { k: 1 }, no: null }
  t.equal(fill('<{{payload.a.b.0}}> {{ payload.a.b.1.c }}', payload), '<x> y')
  t.equal(fill('{{payload.n}} {{payload.f}} {{payload.o}}', payload), '0 false {"k":1}')
  t.equal(fill('[{{payload.no}}{{payload.a.x.y}}{{payload.n.toFixed}}]', payload), '[]')
  t.equal(fill('{{payload}}', 'text'), 'text')
  t.equal(fill('no places, { braces } alone', payload), 'no places, { braces } alone')
  t.strictSame(createTemplate('{{payload.a}}{{payload.b}}{{payload.a}}', ['payload']).paths, [
    'payload.a',
    'payload.b',
  ])
  t.end()
})

t.test('fills in what looks like a place or a pattern as it is', (t) => {
  t.equal(fill('{{payload.a}}', { a: '{{payload.b}} $& $1', b: 'no' }), '{{payload.b}} $& $1')
  t.end()
})

t.test('encodes only what is filled in', (t) => {
  const template = createTemplate('a b/{{payload}}', ['payload'])
  t.equal(template.fill({ payload: 'c d' }, encodeURIComponent), 'a b/c%20d')
  t.end()
})

t.test('reaches nothing that was not given, whatever the path', (t) => {
  t.equal(valueAt({ a: 1 }, 'constructor'), undefined)
  t.equal(valueAt({ a: [] }, 'a.__proto__'), undefined)
  t.equal(valueAt('text', 'length'), undefined)
  fc.assert(
    fc.property(fc.jsonValue(), fc.array(fc.string(), { minLength: 1 }), (value, steps) => {
      const found = valueAt(value, steps.join('.'))
      return found === undefined || JSON.stringify(value).includes(JSON.stringify(found))
    }),
  )
  t.end()
})

t.test('says what is wrong with a template', (t) => {
  for (const text of ['{{payload', 'payload}}', '{{}}', '{{pay load}}', '{{{{payload}}}}']) {
    t.throws(() => createTemplate(text, ['payload']), /expected each \{\{ to be closed by \}\}/, text)
  }
  t.throws(
    () => createTemplate('{{other.a}}', ['payload', 'headers']),
    /begins as \{\{payload\}\}, \{\{headers\}\}/,
  )
  t.throws(() => createTemplate('{{payload.}}', ['payload']), /a name on each side of a dot/)
  t.end()
})
