import t from 'tap'
import { createDiscordConnector } from '../../../src/connectors/discord/discord.js'
import { connectorSuite } from '../../../src/testing/connector-suite.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { DiscordServer } from '../../helpers/discord-server.js'
import { until } from '../../helpers/until.js'

connectorSuite(
  (name, body) => t.test(name, body),
  async () => {
    const server = await new DiscordServer().start()
    const make = (overrides: object) => {
      const { token, apiUrl } = server
      return createDiscordConnector({ token, apiUrl, ...overrides }, connectorContext())
    }
    let heard = 0
    return {
      connector: await make({}),
      say: (content) => void server.say({ content }),
      expected: { peer: '500', thread: null, group: false, mentioned: false, sender: { id: '7' } },
      target: { peer: '501', thread: null },
      heard: async () => {
        await until(() => server.posts.length > heard)
        return server.posts[heard++]!.content ?? ''
      },
      connections: () => server.connections,
      deadHost: async () => {
        await server.kill()
        return make({})
      },
      wrongToken: () => make({ token: 'wrong-token-0123456789' }),
      close: () => server.kill(),
    }
  },
)
