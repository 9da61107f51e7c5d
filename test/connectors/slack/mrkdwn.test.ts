import t from 'tap'
import {
  escapeText,
  toPlain,
  usersIn,
  withoutBroadcast,
  withoutMention,
} from '../../../src/connectors/slack/mrkdwn.js'
import fc from '../../helpers/properties.js'

t.test('what is escaped reads as it was', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => toPlain(escapeText(text), (id) => id) === text),
  )
})

t.test('entities are spelled out', async (t) => {
  const name = (id: string) => (id === 'U1' ? 'Ada' : id)
  const plain = {
    '<@U1> <@U1|ada> <@W2>': '@Ada @Ada @W2',
    '<#C1|general> <#C1>': '#general #C1',
    '<!here> <!subteam^S1|@team> <!subteam^S1> <!date^1^{date}|today>': '@here @team @subteam today',
    '<https://a.b/?c=1&amp;d=2> <http://a.b|a.b> <https://a.b|label>':
      'https://a.b/?c=1&d=2 http://a.b label (https://a.b)',
    '&amp;lt; &lt;@U1&gt;': '&lt; <@U1>',
  }
  for (const [text, expected] of Object.entries(plain)) t.equal(toPlain(text, name), expected)
})

t.test('only our own mention is cut out', async (t) => {
  t.equal(withoutMention('<@U1>: ask <@U2>', 'U1'), 'ask <@U2>')
  t.equal(withoutMention(' as it is ', 'U1'), ' as it is ')
  t.strictSame(usersIn('<@U1> <@W2|x> <@U1> <!here>'), ['U1', 'W2'])
})

t.test('no text calls a channel or group together', async (t) => {
  const calls = ['<!channel>', '<!here|here>', '<!everyone>', '<!subteam^S1>']
  for (const call of calls) t.notMatch(withoutBroadcast(`a ${call}`), /<!/)
  t.equal(withoutBroadcast('<!-- x --> <!DOCTYPE>'), '<!-- x --> <!DOCTYPE>')
})
