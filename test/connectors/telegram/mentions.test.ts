import type { MessageEntity } from 'grammy/types'
import t from 'tap'
import { addressed } from '../../../src/connectors/telegram/mentions.js'
import fc from '../../helpers/properties.js'

const BOT = { id: 1, username: 'LurkTestBot' }

t.test('wherever the bot is mentioned, and how often, it is cut out', async () => {
  const words = fc.array(fc.constantFrom('hi', '😀', 'two words', '@ada', '@LURKtestbot', 'é\n', 'x@y'))
  fc.assert(
    fc.property(words, (all) => {
      const text = all.join(' ')
      const entities: MessageEntity[] = [...text.matchAll(/(?<![^\s])@\w+/g)].map((match) => ({
        type: 'mention',
        offset: match.index,
        length: match[0].length,
      }))
      const { mentioned, forAnother, text: rest } = addressed(text, entities, BOT)
      const others = all.filter((word) => word !== '@LURKtestbot')
      const bare = (said: string) => said.replace(/\s+/g, '')
      return mentioned === all.includes('@LURKtestbot') && !forAnother && bare(rest) === bare(others.join(''))
    }),
  )
})

t.test('a text that names nobody stays as it is, blanks and all', async (t) => {
  for (const text of ['', ' hi ', '@LurkTestBot as plain text']) {
    t.strictSame(addressed(text, [], BOT), { mentioned: false, forAnother: false, text })
  }
})
