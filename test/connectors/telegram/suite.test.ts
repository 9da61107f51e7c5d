import t from 'tap'
import { createTelegramConnector } from '../../../src/connectors/telegram/telegram.js'
import { connectorSuite } from '../../../src/testing/connector-suite.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { messageOf, TelegramApi, TOKEN } from '../../helpers/telegram-api.js'
import { until } from '../../helpers/until.js'

connectorSuite(
  (name, body) => t.test(name, body),
  async () => {
    const api = new TelegramApi()
    await api.listen(0)
    const apiRoot = api.url
    const make = async (overrides: object = {}) =>
      createTelegramConnector({ apiRoot, token: TOKEN, pollPauseMs: 5, ...overrides }, connectorContext())
    let heard = 0
    return {
      connector: await make(),
      say: (text) => void api.say('message', messageOf(text)),
      expected: { peer: '42', thread: null, group: false, mentioned: false, sender: { id: '42' } },
      target: { peer: '42', thread: null },
      heard: async () => {
        await until(() => api.callsOf('sendMessage').length > heard)
        return String(api.callsOf('sendMessage')[heard++]!.text)
      },
      connections: () => api.connections(),
      deadHost: async () => {
        await api.stop()
        return make()
      },
      wrongToken: () => make({ token: `${TOKEN}x` }),
      close: () => api.stop(),
    }
  },
)
