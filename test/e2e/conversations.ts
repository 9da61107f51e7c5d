import type { Test } from 'tap'
import { until } from '../helpers/until.js'
import { ChannelGateway, type ChannelGatewayOptions, HeldAgent } from './channel-gateway.js'

/** A chat platform for the conversations below: a server that the test holds in its hands. */
export interface Platform extends Required<Pick<ChannelGatewayOptions, 'connector' | 'env'>> {
  /** Two people who write to the gateway, each in a conversation of their own. */
  readonly peers: readonly [string, string]
  /** Someone writes. */
  say(peer: string, text: string): Promise<unknown> | unknown
  /** What the gateway said there, in order. */
  said(peer: string): string[]
}

/** One that can fail in every way. */
export interface FalliblePlatform extends Platform {
  readonly wrongEnv: NodeJS.ProcessEnv
  /** What must be in no log. */
  readonly secret: string
  /** Whether it sends again what a gateway that died had not taken. */
  readonly redelivers: boolean
  /** Whether it shows once what is sent to it twice. */
  readonly idempotent: boolean
  /** Messages that it has not seen taken. */
  unconfirmed(): number
  /** What becomes of what is sent to it; `unanswered`: it is taken, and nobody hears of that. */
  sends: 'taken' | 'refused for now' | 'unanswered'
  /** The gateway may say nothing there any more. */
  shutOut(peer: string): void
  /** It refuses the token from now on; with `hangUp` it ends the connection as well. */
  revokeToken(hangUp?: 'hangUp'): void
  restoreToken(): void
  kill(): Promise<unknown>
  start(): Promise<unknown>
}

const answersTo = (...texts: string[]) => texts.map((text) => `re: ${text}`)

/** Answers go back to where the question came from, in order. */
export async function converse(t: Test, gateway: ChannelGateway, platform: Platform): Promise<void> {
  const [ada, bob] = platform.peers
  await gateway.becomes('connected')
  await platform.say(ada, 'hello')
  await until(() => platform.said(ada).length === 1)
  const burst = Array.from({ length: 8 }, (_, n) => `message ${n}`)
  for (const text of burst) {
    await platform.say(ada, text)
    await platform.say(bob, text)
  }
  await until(() => platform.said(ada).length >= 9 && platform.said(bob).length >= 8)
  t.equal(await gateway.stop(), 0)
  t.strictSame(platform.said(ada), ['hello', ...burst])
  t.strictSame(platform.said(bob), burst)
}

/** A host where nobody listens is one line of the log, and tried again until it is there. */
async function awaitDeadHost(t: Test, platform: FalliblePlatform): Promise<void> {
  await platform.kill()
  const gateway = await ChannelGateway.start(t, platform)
  t.match(await gateway.becomes('waiting'), { error: { code: 'UNAVAILABLE', retryable: true } })
  await outlast(gateway, 5)
  t.ok(await gateway.isReady())
  t.strictSame(
    gateway.log().map(({ msg }) => msg),
    ['channel waiting'],
  )
  t.notMatch(gateway.output(), platform.secret)
  await platform.start()
  t.match(await gateway.becomes('connected'), { error: null })
  await converse(t, gateway, platform)
}

/** Of these there is room in the outbox; while it is full, nothing further is taken. */
const ROOM = 3

/** SIGKILL while runs go on, answers wait in the outbox, and a message has come in that there is no room for yet. */
async function surviveOwnDeath(t: Test, platform: FalliblePlatform): Promise<void> {
  const agent = await HeldAgent.start(t)
  const env = { ...platform.env, LURKBOT_GATEWAY__CHANNELS__MAX_PENDING_DELIVERIES: `${ROOM}` }
  const gateway = await ChannelGateway.start(t, { ...platform, env, agent })
  const [ada, bob] = platform.peers
  await gateway.becomes('connected')
  platform.sends = 'refused for now'
  for (const peer of platform.peers) await platform.say(peer, 'waits in the outbox')
  await gateway.pending(2)
  agent.hold()
  await platform.say(ada, 'runs')
  await platform.say(ada, 'waits in its lane')
  await platform.say(bob, 'runs')
  await until(async () => (await gateway.accepted()) === 5 && platform.unconfirmed() === 0)
  await until(() => agent.asked.filter((text) => text === 'runs').length === 2)
  await gateway.say(bob, 'said by an operator')
  await gateway.pending(ROOM)
  await platform.say(ada, 'not taken')
  // By then it has seen the message.
  for (let i = 0; i < 3; i++) t.equal(await gateway.accepted(), 5)

  await gateway.kill9()
  await gateway.startAgain()
  await gateway.becomes('connected')
  await platform.say(ada, 'comes after')
  await until(() => agent.asked.filter((text) => text === 'runs').length === 4)
  platform.sends = 'taken'
  const again = platform.redelivers ? ['not taken'] : []
  await until(async () => (await gateway.accepted()) === again.length + 1 && platform.unconfirmed() === 0)
  agent.release()
  const answers = answersTo('waits in the outbox', 'runs', 'waits in its lane', ...again, 'comes after')
  await until(() => platform.said(ada).length >= answers.length && platform.said(bob).length >= 3)
  await gateway.pending(0)
  t.equal(await gateway.stop(), 0)
  t.strictSame(platform.said(ada), answers)
  t.strictSame(platform.said(bob), ['re: waits in the outbox', 'said by an operator', 're: runs'])
}

/** SIGKILL after the platform took a message and before the gateway knows. */
async function dieWhileSending(t: Test, platform: FalliblePlatform): Promise<void> {
  const gateway = await ChannelGateway.start(t, platform)
  const [ada] = platform.peers
  await gateway.becomes('connected')
  platform.sends = 'unanswered'
  await platform.say(ada, 'one')
  await until(() => platform.said(ada).length === 1)
  await platform.say(ada, 'two')
  await gateway.pending(2)
  await gateway.kill9()
  platform.sends = 'taken'
  await gateway.startAgain()
  await gateway.becomes('connected')
  await gateway.pending(0)
  t.strictSame(platform.said(ada), platform.idempotent ? ['one', 'two'] : ['one', 'one', 'two'])
}

/** The platform goes while answers are to come, stays away for a while, and comes back. */
async function surviveOutage(t: Test, platform: FalliblePlatform): Promise<void> {
  const agent = await HeldAgent.start(t)
  const gateway = await ChannelGateway.start(t, { ...platform, agent })
  const [ada, bob] = platform.peers
  await gateway.becomes('connected')
  agent.hold()
  for (const text of ['one', 'two']) await platform.say(ada, text)
  await platform.say(bob, 'one')
  await until(async () => (await gateway.accepted()) === 3 && platform.unconfirmed() === 0)

  await platform.kill()
  await gateway.becomes('waiting')
  agent.release()
  await gateway.pending(3)
  await platform.say(ada, 'three')
  await outlast(gateway, 8)
  t.ok(await gateway.isReady())
  await platform.start()
  await gateway.becomes('connected')
  await until(() => platform.said(ada).length >= 3 && platform.said(bob).length >= 1)
  await gateway.pending(0)
  t.strictSame(platform.said(ada), answersTo('one', 'two', 'three'))
  t.strictSame(platform.said(bob), answersTo('one'))

  const causes = gateway.log().filter(({ msg }) => msg === 'channel waiting')
  t.ok(causes.length >= 1)
  t.equal(new Set(causes.map(({ cause }) => cause)).size, causes.length, 'each failure is told once')
  t.equal(gateway.log().filter(({ msg }) => msg === 'channel connected').length, 2)
}

/** A wrong token is one clear state and one line of the log, in which the token is not. */
async function refuseWrongToken(t: Test, platform: FalliblePlatform): Promise<void> {
  const gateway = await ChannelGateway.start(t, { ...platform, env: platform.wrongEnv })
  const { error } = await gateway.becomes('failed')
  t.match(error, { code: 'UNAUTHORIZED', retryable: false })
  t.ok(await gateway.isReady())
  t.strictSame(
    gateway.log().map(({ level, msg }) => [level, msg]),
    [[50, 'channel failed']],
  )
  for (const value of Object.values(platform.wrongEnv)) t.notOk(gateway.output().includes(value!))
}

/** What the platform takes back while the gateway runs: a conversation, and then the token. */
async function loseWhatWasGranted(t: Test, platform: FalliblePlatform): Promise<void> {
  const gateway = await ChannelGateway.start(t, platform)
  const [ada, bob] = platform.peers
  await gateway.becomes('connected')
  platform.shutOut(ada)
  await platform.say(ada, 'one')
  const { payload } = await gateway.socket.event('delivery.failed')
  t.match(payload, { channel: gateway.channel, peer: ada, error: { code: 'FORBIDDEN', retryable: false } })
  t.match(await gateway.dead(), [{ text: 'one', peer: ada, error: { code: 'FORBIDDEN' } }])
  await platform.say(bob, 'one')
  await until(() => platform.said(bob).length === 1)
  t.match(await gateway.status(), { state: 'connected', error: null })

  platform.revokeToken()
  await gateway.say(bob, 'two')
  const { error } = await gateway.becomes('failed')
  t.match(error, { code: 'UNAUTHORIZED', retryable: false })
  await gateway.pending(1)
  t.ok(await gateway.isReady())
  t.equal(gateway.statuses().filter(({ state }) => state === 'failed').length, 1)
  const told = gateway.log().filter(({ level }) => level > 30)
  t.equal(told.filter(({ msg }) => msg === 'channel failed').length, 1)
  t.ok(told.length <= 3, 'one for the dead letter, one for the state, one for what waits')

  platform.restoreToken()
  await gateway.socket.call('channels.start', { channel: gateway.channel })
  await gateway.becomes('connected')
  await until(() => platform.said(bob).length === 2)
  t.strictSame(platform.said(bob), ['one', 'two'], 'what waited is said after all')
  t.equal((await gateway.dead()).length, 1)

  platform.revokeToken('hangUp')
  t.match((await gateway.becomes('failed')).error, { code: 'UNAUTHORIZED', retryable: false })
  t.ok(await gateway.isReady())
  t.equal(gateway.log().filter(({ msg }) => msg === 'channel failed').length, 2)
  t.notMatch(gateway.output(), platform.secret)
}

/** Waits for further attempts that fail. */
async function outlast(gateway: ChannelGateway, attempts: number): Promise<void> {
  const failed = () => gateway.statuses().filter(({ state }) => state === 'waiting').length
  const before = failed()
  await until(() => failed() >= before + attempts)
}

/** All of the above. */
export function conversations(t: Test, start: (t: Test) => Promise<FalliblePlatform>): void {
  const define = (name: string, prove: (t: Test, platform: FalliblePlatform) => Promise<void>) =>
    t.test(name, async (t) => prove(t, await start(t)))
  define('a dead host is one clear state and line of the log; then a conversation is in order', awaitDeadHost)
  define('a gateway that is killed in the middle answers all that was taken, in order', surviveOwnDeath)
  define('a message that was being sent when the gateway was killed is sent again', dieWhileSending)
  define('a platform that goes away and comes back gets every answer, in order', surviveOutage)
  define('a wrong token is one clear state and one line of the log', refuseWrongToken)
  define('what is taken back is a dead letter or one clear state, and nothing else stops', loseWhatWasGranted)
}
