import t, { type Test } from 'tap'
import { SlackServer } from '../helpers/slack-server.js'
import { ChannelGateway } from './channel-gateway.js'
import { conversations, type FalliblePlatform } from './conversations.js'

type SlackPlatform = FalliblePlatform & { readonly server: SlackServer }

async function slack(t: Test): Promise<SlackPlatform> {
  const server = await new SlackServer().start()
  t.teardown(() => server.kill())
  server.channels.add('D2')
  const shutOut = new Set<string>()
  const platform: SlackPlatform = {
    server,
    connector: {
      type: 'slack',
      botTokenEnv: 'SLACK_BOT',
      appTokenEnv: 'SLACK_APP',
      apiUrl: server.apiUrl,
      allow: ['*'],
    },
    env: { SLACK_BOT: server.botToken, SLACK_APP: server.appToken },
    wrongEnv: { SLACK_BOT: 'xoxb-wrong-secret', SLACK_APP: server.appToken },
    secret: 'secret',
    redelivers: true,
    idempotent: false,
    peers: ['D1', 'D2'],
    sends: 'taken',
    say: (channel, text) => void server.say({ channel, text }),
    said: (peer) => server.posts.filter(({ channel }) => channel === peer).map(({ text }) => text!),
    unconfirmed: () => server.unacknowledged,
    shutOut: (peer) => shutOut.add(peer),
    revokeToken: () => {
      server.revoked = true
    },
    restoreToken: () => {
      server.revoked = false
    },
    kill: () => server.kill(),
    start: () => server.start(),
  }
  server.refuse = (method, { channel = '' }) => {
    if (method !== 'chat.postMessage') return undefined
    if (shutOut.has(channel)) return { error: 'not_in_channel' }
    if (platform.sends === 'refused for now') return { status: 503 }
    return platform.sends === 'unanswered' ? { silent: true } : undefined
  }
  return platform
}

conversations(t, slack)

t.test('an account that is switched off is one clear state once Slack hangs up', async (t) => {
  const platform = await slack(t)
  const gateway = await ChannelGateway.start(t, platform)
  await gateway.becomes('connected')
  platform.server.refuse = () => ({ error: 'account_inactive' })
  platform.server.disconnect('refresh_requested')
  const { error } = await gateway.becomes('failed')
  t.match(error, { code: 'UNAUTHORIZED', message: /account_inactive/ })
  t.ok(await gateway.isReady())
  t.equal(gateway.log().filter(({ msg }) => msg === 'channel failed').length, 1)
})
