import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createMqttConnector } from '../../../src/connectors/mqtt/mqtt.js'
import { connectorSuite } from '../../../src/testing/connector-suite.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { freePort } from '../../helpers/free-port.js'
import { startMosquitto } from '../../helpers/mosquitto.js'
import { until } from '../../helpers/until.js'
import { ALICE, hear, say } from './hosted.js'

const broker = await startMosquitto(t)
const closed = await startMosquitto(t, { users: { bot: 'right' } })

connectorSuite(
  (name, body) => t.test(name, body),
  async () => {
    const clientId = randomUUID()
    const make = (overrides: object) =>
      createMqttConnector({ url: broker.url, clientId, ...overrides }, connectorContext())
    const alice = await broker.client(t)
    const got = await hear(alice, 'lurkbot/alice/out')
    let heard = 0
    return {
      connector: make({}),
      say: (text) => say(alice, text),
      expected: { peer: 'alice', thread: null, group: false, mentioned: false, sender: { id: 'alice' } },
      target: ALICE,
      heard: async () => {
        await until(() => got.length > heard)
        return got[heard++]!.payload.toString()
      },
      connections: () => {
        const count = (what: RegExp) => broker.log.match(what)?.length ?? 0
        const came = count(new RegExp(`New client connected from \\S+ as ${clientId}`, 'g'))
        return came - count(new RegExp(`Client ${clientId} (?:disconnected|closed)`, 'g'))
      },
      deadHost: async () => make({ url: `mqtt://127.0.0.1:${await freePort()}` }),
      wrongToken: () => make({ url: closed.url, username: 'bot', password: 'wrong' }),
      close: () => alice.endAsync(true),
    }
  },
)
