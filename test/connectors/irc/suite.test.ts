import t from 'tap'
import { createIrcConnector } from '../../../src/connectors/irc/irc.js'
import { connectorSuite } from '../../../src/testing/connector-suite.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { freePort } from '../../helpers/free-port.js'
import { joinIrc, startNgircd } from '../../helpers/ngircd.js'
import { until } from '../../helpers/until.js'

const server = await startNgircd(t)
const closed = await startNgircd(t, { password: 'right' })
let harnesses = 0

connectorSuite(
  (name, body) => t.test(name, body),
  async () => {
    // The people of the test before may still be leaving.
    const number = ++harnesses
    const [nick, lurk] = [`alice${number}`, `lurk${number}`]
    const make = (overrides: object) =>
      createIrcConnector(
        { host: '127.0.0.1', port: server.port, tls: false, nick: lurk, ...overrides },
        connectorContext(),
      )
    const alice = await joinIrc(t, server.port, nick)
    let heard = 0
    return {
      connector: await make({}),
      say: (text) => alice.client.say(lurk, text),
      expected: { peer: nick, thread: null, group: false, mentioned: false, sender: { id: nick } },
      target: { peer: nick, thread: null },
      heard: async () => {
        await until(() => alice.heard.length > heard)
        return alice.heard[heard++]!.message
      },
      connections: () => isThere(alice, lurk),
      deadHost: async () => make({ port: await freePort() }),
      wrongToken: () => make({ port: closed.port, password: 'wrong' }),
    }
  },
)

/** How many of that nick there are. */
async function isThere({ client }: Awaited<ReturnType<typeof joinIrc>>, nick: string): Promise<number> {
  const found = new Promise<number>((resolve) => {
    client.once('whois', ({ error }) => resolve(error === undefined ? 1 : 0))
  })
  client.raw('WHOIS', nick)
  return found
}
