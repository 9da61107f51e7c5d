import t from 'tap'
import { createXmppConnector } from '../../../src/connectors/xmpp/xmpp.js'
import { connectorSuite } from '../../../src/testing/connector-suite.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { freePort } from '../../helpers/free-port.js'
import { joinXmpp, startProsody } from '../../helpers/prosody.js'
import { until } from '../../helpers/until.js'

const users = { lurk: 'lurk-secret', alice: 'alice-secret' }
const server = await startProsody(t, { users })

connectorSuite(
  (name, body) => t.test(name, body),
  async () => {
    const { service } = server
    const account = { jid: 'lurk@localhost', password: users.lurk, service, allowInsecure: true }
    const make = (overrides: object) => createXmppConnector({ ...account, ...overrides }, connectorContext())
    const alice = await joinXmpp(t, server, 'alice', users.alice)
    let heard = 0
    return {
      connector: await make({}),
      say: (text) => alice.say('lurk@localhost', text),
      expected: {
        peer: 'alice@localhost',
        thread: null,
        group: false,
        mentioned: false,
        sender: { id: 'alice@localhost' },
      },
      target: { peer: 'alice@localhost', thread: null },
      heard: async () => {
        await until(() => alice.texts('lurk@localhost').length > heard)
        return alice.texts('lurk@localhost')[heard++]!
      },
      deadHost: async () => make({ service: `xmpp://127.0.0.1:${await freePort()}` }),
      wrongToken: () => make({ password: 'wrong' }),
      // The server gives what is for an account to the newest connection of it.
      close: async () => void (await alice.client.stop()),
    }
  },
)
