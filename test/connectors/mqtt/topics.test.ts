import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { decodeMessageId, encodeMessageId } from '../../../src/connectors/mqtt/message-id.js'
import { isFilter, isTopic, matches, withoutShare } from '../../../src/connectors/mqtt/topics.js'
import fc from '../../helpers/properties.js'

t.test('filters match as MQTT 5 says', (t) => {
  const matching: [string, string][] = [
    ['a/b', 'a/b'],
    ['a/+', 'a/b'],
    ['a/+', 'a/'],
    ['+/+', '/x'],
    ['/+', '/x'],
    ['#', 'a/b/c'],
    ['a/#', 'a'],
    ['a/#', 'a/b/c'],
    ['+/#', 'a'],
    ['$SYS/#', '$SYS/x'],
  ]
  for (const [filter, topic] of matching) t.ok(matches(filter, topic), `${filter} ${topic}`)
  const others: [string, string][] = [
    ['a/b', 'a'],
    ['a', 'a/b'],
    ['a/+', 'a'],
    ['a/+', 'a/b/c'],
    ['+', '/x'],
    ['a/#', 'ab'],
    ['#', '$SYS/x'],
    ['+/x', '$SYS/x'],
  ]
  for (const [filter, topic] of others) t.notOk(matches(filter, topic), `${filter} ${topic}`)
  t.equal(withoutShare('$share/group/a/+'), 'a/+')
  t.equal(withoutShare('a/$share/b'), 'a/$share/b')
  t.end()
})

t.test('tells topics and filters from what is neither', (t) => {
  for (const filter of ['a', '+', '#', 'a/+/b', '/#', '$share/g/#', 'ä/€']) t.ok(isFilter(filter), filter)
  for (const filter of ['', 'a#', 'a/#/b', '#/a', '++', 'a+/b', 'a\0', '\ud800'])
    t.notOk(isFilter(filter), filter)
  for (const topic of ['a', '/', 'a/b c', '$x']) t.ok(isTopic(topic), topic)
  for (const topic of ['', 'a/+', '#', 'x\0', '\udfff', 'x'.repeat(65_536)]) t.notOk(isTopic(topic))
  t.end()
})

t.test('what an answer needs comes back from the id of the message', (t) => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 256 }).map((array) => Buffer.from(array))
  const topic = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 10 }),
      fc.option(topic),
      fc.option(bytes),
      (id, responseTopic, correlationData) => {
        const decoded = decodeMessageId(encodeMessageId({ id, responseTopic, correlationData }))
        return isDeepStrictEqual(decoded, { id, responseTopic, correlationData })
      },
    ),
  )
  t.same(decodeMessageId('%'), { id: '%', responseTopic: null, correlationData: null })
  t.end()
})

t.test('keeps no more of a message than it has to', (t) => {
  const long = { id: 'i'.repeat(65), responseTopic: 'ä'.repeat(256), correlationData: Buffer.alloc(256) }
  t.equal(decodeMessageId(encodeMessageId(long)).id.length, 43)
  t.throws(() => encodeMessageId({ ...long, responseTopic: 'ä'.repeat(257) }), { code: 'INVALID_REQUEST' })
  t.throws(() => encodeMessageId({ ...long, correlationData: Buffer.alloc(257) }), {
    code: 'INVALID_REQUEST',
  })
  t.end()
})
