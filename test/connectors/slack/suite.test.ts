import t from 'tap'
import { createSlackConnector } from '../../../src/connectors/slack/slack.js'
import { connectorSuite } from '../../../src/testing/connector-suite.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { SlackServer } from '../../helpers/slack-server.js'
import { until } from '../../helpers/until.js'

connectorSuite(
  (name, body) => t.test(name, body),
  async () => {
    const server = await new SlackServer().start()
    const make = (overrides: object) => {
      const { botToken, appToken, apiUrl } = server
      return createSlackConnector({ botToken, appToken, apiUrl, ...overrides }, connectorContext())
    }
    let heard = 0
    return {
      connector: await make({}),
      say: (text) => server.say({ text }).acknowledged,
      expected: { peer: 'D1', thread: null, group: false, mentioned: false, sender: { id: 'U1' } },
      target: { peer: 'C1', thread: null },
      heard: async () => {
        await until(() => server.posts.length > heard)
        return server.posts[heard++]!.text ?? ''
      },
      connections: () => server.connections,
      deadHost: async () => {
        await server.kill()
        return make({})
      },
      wrongToken: () => make({ botToken: 'xoxb-wrong' }),
      close: () => server.kill(),
    }
  },
)
