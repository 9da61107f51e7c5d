import t from 'tap'
import { sessionKeyOf, targetOf } from '../../src/connectors/address.js'
import fc from '../helpers/properties.js'

/** What UTF-8 can hold. */
const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 })

t.test('a conversation has one key, and the key leads back to it', (t) => {
  fc.assert(
    fc.property(name, fc.option(name), (peer, thread) => {
      const key = sessionKeyOf('telegram', { peer, thread })
      t.strictSame(targetOf(key), { channel: 'telegram', peer, thread })
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('no other spelling of a key leads to its conversation', (t) => {
  for (const key of [
    'telegram:12%78:main',
    'telegram:%31%32x:main',
    'telegram:a%3ab:main',
    'telegram:1:%6d%61in',
    'telegram:1:%6dain',
    'telegram:a%b:main',
    'telegram:1',
    'telegram:1:main:more',
  ]) {
    t.equal(targetOf(key), null, key)
  }
  t.end()
})
