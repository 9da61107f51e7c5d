import t, { type Test } from 'tap'
import { SlackServer } from '../helpers/slack-server.js'
import { conversations, type FalliblePlatform } from './conversations.js'

async function slack(t: Test): Promise<FalliblePlatform> {
  const server = await new SlackServer().start()
  t.teardown(() => server.kill())
  server.channels.add('D2')
  const shutOut = new Set<string>()
  let refusedAs: string | null = null
  const platform: FalliblePlatform = {
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
    revokeToken: (hangUp) => {
      refusedAs = hangUp ? 'account_inactive' : 'token_revoked'
      if (hangUp) server.disconnect('refresh_requested')
    },
    restoreToken: () => {
      refusedAs = null
    },
    kill: () => server.kill(),
    start: () => server.start(),
  }
  server.refuse = (method, { channel = '' }) => {
    if (refusedAs !== null) return { error: refusedAs }
    if (method !== 'chat.postMessage') return undefined
    if (shutOut.has(channel)) return { error: 'not_in_channel' }
    if (platform.sends === 'refused for now') return { status: 503 }
    return platform.sends === 'unanswered' ? { silent: true } : undefined
  }
  return platform
}

conversations(t, slack)
