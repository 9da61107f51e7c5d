import t from 'tap'
import { findMention } from '../../src/connectors/mention.js'

t.test('a name counts where it stands as a word', async (t) => {
  for (const text of [
    'lurk: hi',
    'LURK, hi',
    '@lurk hi',
    'lurk hi',
    'hi lurk',
    'hi lurk!',
    'hi @lurk.',
    'lurk',
  ]) {
    t.ok(findMention(text, 'lurk').mentioned, text)
  }
  for (const text of [
    'lurking',
    'lurk_',
    'lurk-2',
    'xlurk',
    'me.lurk',
    'https://a/lurk',
    'élurk',
    '[lurk]',
    '',
  ]) {
    t.notOk(findMention(text, 'lurk').mentioned, text)
  }
})

t.test('a name is cut off where it addresses', async (t) => {
  t.equal(findMention(' lurk:  hi lurk', 'lurk').text, 'hi lurk')
  t.equal(findMention('hi @lurk, you', 'lurk').text, 'hi, you')
  t.equal(findMention('lurk', 'lurk').text, '')
  t.equal(findMention('ask lurk', 'lurk').text, 'ask lurk')
  t.equal(findMention('lurking: no', 'lurk').text, 'lurking: no')
})

t.test('a name may be made of what patterns are made of', async (t) => {
  for (const nick of ['[a]', 'a|b', '`x`', '\\o', '^_^', 'a-b', '{}', 'a.b', '(x)', 'Zoë B']) {
    t.same(findMention(`${nick}: hi`, nick), { mentioned: true, text: 'hi' }, nick)
  }
})
