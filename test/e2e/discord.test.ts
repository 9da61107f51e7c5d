import t, { type Test } from 'tap'
import { DiscordServer } from '../helpers/discord-server.js'
import { until } from '../helpers/until.js'
import { ChannelGateway } from './channel-gateway.js'
import { conversations, type FalliblePlatform } from './conversations.js'

type DiscordPlatform = FalliblePlatform & { readonly server: DiscordServer }

async function discord(t: Test): Promise<DiscordPlatform> {
  const server = await new DiscordServer().start()
  t.teardown(() => server.kill())
  const shutOut = new Set<string>()
  const platform: DiscordPlatform = {
    server,
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
    revokeToken: () => {
      server.revoked = true
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

t.test('a token that is reset is one clear state once Discord hangs up', async (t) => {
  const { server, ...platform } = await discord(t)
  const gateway = await ChannelGateway.start(t, platform)
  await gateway.becomes('connected')
  server.revoked = true
  server.close(4004)
  const { error } = await gateway.becomes('failed')
  t.match(error, { code: 'UNAUTHORIZED', message: /4004/ })
  t.ok(await gateway.isReady())
  t.equal(gateway.log().filter(({ msg }) => msg === 'channel failed').length, 1)
})

t.test('a process that begins anew has a new session', async (t) => {
  const { server, ...platform } = await discord(t)
  const gateway = await ChannelGateway.start(t, platform)
  await gateway.becomes('connected')
  await gateway.kill9()
  await until(() => server.connections === 0)
  await platform.say('500', 'to nobody')
  await gateway.startAgain()
  await gateway.becomes('connected')
  await platform.say('500', 'to the next one')
  await until(() => platform.said('500').length > 0)
  t.strictSame(server.starts, ['identify', 'identify'])
  t.strictSame(platform.said('500'), ['to the next one'])
})
