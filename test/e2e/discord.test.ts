import t, { type Test } from 'tap'
import { DiscordServer } from '../helpers/discord-server.js'
import { conversations, type FalliblePlatform } from './conversations.js'

async function discord(t: Test): Promise<FalliblePlatform> {
  const server = await new DiscordServer().start()
  t.teardown(() => server.kill())
  const shutOut = new Set<string>()
  const platform: FalliblePlatform = {
    connector: { type: 'discord', tokenEnv: 'DISCORD', apiUrl: server.apiUrl, allow: ['*'] },
    env: { DISCORD: server.token },
    wrongEnv: { DISCORD: 'wrong.secret.bot-token_0123456789' },
    secret: 'secret',
    // A session is resumed by the process that began it alone.
    redelivers: false,
    idempotent: true,
    peers: ['500', '501'],
    sends: 'taken',
    say: (channel_id, content) => void server.say({ channel_id, content }),
    said: (peer) => server.posts.filter(({ channel }) => channel === peer).map(({ content }) => content!),
    // Discord is told of nothing: what was taken is only known here.
    unconfirmed: () => 0,
    shutOut: (peer) => shutOut.add(peer),
    revokeToken: (hangUp) => {
      server.revoked = true
      if (hangUp) server.close(4004)
    },
    restoreToken: () => {
      server.revoked = false
    },
    kill: () => server.kill(),
    start: () => server.start(),
  }
  server.refuse = (route, channel) => {
    if (route !== 'POST /channels/messages') return undefined
    if (shutOut.has(channel)) return { status: 403, body: { message: 'Missing Access', code: 50001 } }
    if (platform.sends === 'refused for now') return { status: 503 }
    return platform.sends === 'unanswered' ? { status: 0, silent: true } : undefined
  }
  return platform
}

conversations(t, discord)
