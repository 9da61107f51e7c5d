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

type Said = (peer: string) => string[]

/** What the gateway says from now on. */
function listen(platform: Platform): Said {
  const before = new Map(platform.peers.map((peer) => [peer, platform.said(peer).length]))
  return (peer) => platform.said(peer).slice(before.get(peer))
}

/** Answers go back to where the question came from, in order. */
export async function converse(
  t: Test,
  gateway: ChannelGateway,
  platform: Platform,
  answer: (text: string) => string = (text) => text,
): Promise<void> {
  const [ada, bob] = platform.peers
  const said = listen(platform)
  await gateway.becomes('connected')
  await platform.say(ada, 'hello')
  await until(() => said(ada).length === 1)
  const burst = Array.from({ length: 8 }, (_, n) => `message ${n}`)
  for (const text of burst) {
    await platform.say(ada, text)
    await platform.say(bob, text)
  }
  await until(() => said(ada).length >= 9 && said(bob).length >= 8)
  await gateway.pending(0)
  t.strictSame(said(ada), ['hello', ...burst].map(answer))
  t.strictSame(said(bob), burst.map(answer))
}

/** A gateway that several scenarios share, since its starts are what takes time; each goes on where the one before ended. */
interface Scene {
  readonly platform: FalliblePlatform
  readonly gateway: ChannelGateway
  readonly agent: HeldAgent
}

type Scenario = (t: Test, scene: Scene) => Promise<void>

/** The first start: a wrong token is one clear state and one line of the log, in which the token is not. */
const refuseWrongToken: Scenario = async (t, { platform, gateway }) => {
  const { error } = await gateway.becomes('failed')
  t.match(error, { code: 'UNAUTHORIZED', retryable: false })
  t.ok(await gateway.isReady())
  t.strictSame(
    gateway.log().map(({ level, msg }) => [level, msg]),
    [[50, 'channel failed']],
  )
  for (const value of Object.values(platform.wrongEnv)) t.notOk(gateway.output().includes(value!))
  t.equal(await gateway.stop(), 0)
}

/** The second start, with the right token. */
const converseAtLast: Scenario = async (t, { platform, gateway }) => {
  await gateway.startAgain(platform.env)
  await converse(t, gateway, platform, (text) => `re: ${text}`)
}

/** The platform goes while answers are to come, stays away for a while, and comes back. */
const surviveOutage: Scenario = async (t, { platform, gateway, agent }) => {
  const [ada, bob] = platform.peers
  const said = listen(platform)
  const before = await gateway.accepted()
  agent.hold()
  for (const text of ['one', 'two']) await platform.say(ada, text)
  await platform.say(bob, 'one')
  await until(async () => (await gateway.accepted()) === before + 3 && platform.unconfirmed() === 0)

  await platform.kill()
  await gateway.becomes('waiting')
  agent.release()
  await gateway.pending(3)
  await platform.say(ada, 'three')
  await outlast(gateway, 8)
  t.ok(await gateway.isReady())
  await platform.start()
  await gateway.becomes('connected')
  await until(() => said(ada).length >= 3 && said(bob).length >= 1)
  await gateway.pending(0)
  t.strictSame(said(ada), answersTo('one', 'two', 'three'))
  t.strictSame(said(bob), answersTo('one'))

  const causes = gateway.log().filter(({ msg }) => msg === 'channel waiting')
  t.ok(causes.length >= 1)
  t.equal(new Set(causes.map(({ cause }) => cause)).size, causes.length, 'each failure is told once')
  t.equal(gateway.log().filter(({ msg }) => msg === 'channel connected').length, 2)
}

/** Of these there is room in the outbox; while it is full, nothing further is taken. */
const ROOM = 3
const WITH_LITTLE_ROOM = { LURKBOT_GATEWAY__CHANNELS__MAX_PENDING_DELIVERIES: `${ROOM}` }

/**
 * SIGKILL after the platform took a message and before the gateway knows; then the platform is dead as well. A host where nobody
 * listens is one line of the log, and tried again until it is there.
 */
const dieWhileSending: Scenario = async (t, { platform, gateway }) => {
  const [ada] = platform.peers
  const said = listen(platform)
  platform.sends = 'unanswered'
  await platform.say(ada, 'one')
  await until(() => said(ada).length === 1)
  await platform.say(ada, 'two')
  await gateway.pending(2)
  await until(() => platform.unconfirmed() === 0)
  await gateway.kill9()
  platform.sends = 'taken'
  await platform.kill()

  await gateway.startAgain({ ...platform.env, ...WITH_LITTLE_ROOM })
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
  await gateway.pending(0)
  t.strictSame(said(ada), platform.idempotent ? answersTo('one', 'two') : answersTo('one', 'one', 'two'))
}

/** SIGKILL while runs go on, answers wait in the outbox, and a message has come in that there is no room for yet. */
const surviveOwnDeath: Scenario = async (t, { platform, gateway, agent }) => {
  const [ada, bob] = platform.peers
  const said = listen(platform)
  const before = await gateway.accepted()
  platform.sends = 'refused for now'
  for (const peer of platform.peers) await platform.say(peer, 'waits in the outbox')
  await gateway.pending(2)
  agent.hold()
  await platform.say(ada, 'runs')
  await platform.say(ada, 'waits in its lane')
  await platform.say(bob, 'runs')
  await until(async () => (await gateway.accepted()) === before + 5 && platform.unconfirmed() === 0)
  await until(() => agent.asked.filter((text) => text === 'runs').length === 2)
  await gateway.say(bob, 'said by an operator')
  await gateway.pending(ROOM)
  await platform.say(ada, 'not taken')
  // By then it has seen the message.
  for (let i = 0; i < 3; i++) t.equal(await gateway.accepted(), before + 5)

  await gateway.kill9()
  await gateway.startAgain({ ...platform.env, ...WITH_LITTLE_ROOM })
  await gateway.becomes('connected')
  await platform.say(ada, 'comes after')
  await until(() => agent.asked.filter((text) => text === 'runs').length === 4)
  platform.sends = 'taken'
  const again = platform.redelivers ? ['not taken'] : []
  await until(async () => (await gateway.accepted()) === again.length + 1 && platform.unconfirmed() === 0)
  agent.release()
  const answers = answersTo('waits in the outbox', 'runs', 'waits in its lane', ...again, 'comes after')
  await until(() => said(ada).length >= answers.length && said(bob).length >= 3)
  await gateway.pending(0)
  t.strictSame(said(ada), answers)
  t.strictSame(said(bob), ['re: waits in the outbox', 'said by an operator', 're: runs'])
}

/** What the platform takes back while the gateway runs: a conversation, and then the token. */
const loseWhatWasGranted: Scenario = async (t, { platform, gateway }) => {
  const [ada, bob] = platform.peers
  const said = listen(platform)
  const logged = gateway.log().length
  platform.shutOut(ada)
  await platform.say(ada, 'one')
  const { payload } = await gateway.socket.event('delivery.failed')
  t.match(payload, { channel: gateway.channel, peer: ada, error: { code: 'FORBIDDEN', retryable: false } })
  t.match(await gateway.dead(), [{ text: 're: one', peer: ada, error: { code: 'FORBIDDEN' } }])
  await platform.say(bob, 'one')
  await until(() => said(bob).length === 1)
  t.match(await gateway.status(), { state: 'connected', error: null })

  platform.revokeToken()
  await gateway.say(bob, 'two')
  const { error } = await gateway.becomes('failed')
  t.match(error, { code: 'UNAUTHORIZED', retryable: false })
  await gateway.pending(1)
  t.ok(await gateway.isReady())
  t.equal(gateway.statuses().filter(({ state }) => state === 'failed').length, 1)
  const told = gateway
    .log()
    .slice(logged)
    .filter(({ level }) => level > 30)
  t.equal(told.filter(({ msg }) => msg === 'channel failed').length, 1)
  t.ok(told.length <= 3, 'one for the dead letter, one for the state, one for what waits')

  platform.restoreToken()
  await gateway.socket.call('channels.start', { channel: gateway.channel })
  await gateway.becomes('connected')
  await until(() => said(bob).length === 2)
  t.strictSame(said(bob), ['re: one', 'two'], 'what waited is said after all')
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

/** All of the above, with one home and four starts. */
export function conversations(t: Test, start: (t: Test) => Promise<FalliblePlatform>): void {
  t.test('one gateway and its platform', async (t) => {
    const platform = await start(t)
    const agent = await HeldAgent.start(t)
    const gateway = await ChannelGateway.start(t, { ...platform, env: platform.wrongEnv, agent })
    const define = (name: string, prove: Scenario) =>
      t.test(name, { bail: true }, (t) => prove(t, { platform, gateway, agent }))
    await define('a wrong token is one clear state and one line of the log', refuseWrongToken)
    await define('a conversation goes back and forth, in order', converseAtLast)
    await define('a platform that goes away and comes back gets every answer, in order', surviveOutage)
    await define(
      'what was being sent at a kill is sent again, once a host that is dead is back',
      dieWhileSending,
    )
    await define(
      'a gateway that is killed in the middle answers all that was taken, in order',
      surviveOwnDeath,
    )
    await define(
      'what is taken back is a dead letter or one clear state, nothing else stops',
      loseWhatWasGranted,
    )
  })
}
