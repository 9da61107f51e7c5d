import framework, { type Client, type IrcMessage, type MessageEvent } from 'irc-framework'
import { abortable } from '../../agents/abort.js'
import type { Log } from '../../log.js'
import { GatewayError } from '../../protocol/errors.js'
import type { Inlet } from '../connector.js'
import { unsent } from '../failure.js'
import { Membership } from '../membership.js'
import { Pacer } from '../pacer.js'
import { broken, hangUp, refusal } from './failures.js'
import { type Surroundings, toIncoming } from './messages.js'
import type { IrcOptions } from './options.js'
import { LineTransport } from './transport.js'

export interface LinkSettings {
  readonly options: IrcOptions
  readonly password: string | undefined
  readonly saslPassword: string | undefined
  readonly ca: string | undefined
}

/** Lines on their way to one target, until the server has taken them. */
interface Pending {
  readonly target: string
  /** Of the PING behind them: its PONG says that the server has come past them. */
  readonly token: string
  taken(): void
  fail(error: GatewayError): void
}

/** No blank, comma or line break, or it would be more than one target. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL ends a line.
const TARGET = /^[^\s,:\u0000][^\s,\u0000]*$/
const ALTERNATIVE_NICKS = 3
const QUIT_GRACE_MS = 1_000

/** One connection: registers, joins the channels, passes messages on; is not used again once it is lost. */
export class IrcLink {
  readonly #client: Client
  readonly #settings: LinkSettings
  readonly #inlet: Inlet
  readonly #log: Log
  readonly #pacer: Pacer
  readonly #pending = new Set<Pending>()
  #membership: Membership | null = null
  #failure: GatewayError | null = null
  #isReady = false
  #readyAt = 0
  #isOver = false
  #nicksTried = 0
  #tokens = 0

  constructor(settings: LinkSettings, inlet: Inlet, log: Log) {
    const { options, password, saslPassword, ca } = settings
    this.#settings = settings
    this.#inlet = inlet
    this.#log = log
    this.#pacer = new Pacer(options.messagesPerSecond, options.burst)
    this.#client = new framework.Client({
      host: options.host,
      port: options.port ?? (options.tls ? 6697 : 6667),
      tls: options.tls,
      rejectUnauthorized: options.rejectUnauthorized,
      ca,
      nick: options.nick,
      username: options.username ?? 'lurkbot',
      gecos: options.realname,
      password,
      // Without an account of its own the library would take the server's password for one.
      account: options.sasl === undefined ? {} : { account: options.sasl.account, password: saslPassword },
      version: '',
      auto_reconnect: false,
      ping_interval: options.pingIntervalMs / 1000,
      ping_timeout: options.pingTimeoutMs / 1000,
      transport: LineTransport,
    })
    this.#listen()
  }

  /** Resolves when `signal` has ended it, rejects with why it could not be made or was lost. */
  run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve, reject) => {
      let grace: NodeJS.Timeout | undefined
      const leave = () => {
        this.#isReady = false
        this.#client.quit(this.#settings.options.quitMessage)
        grace = setTimeout(() => this.#client.connection.transport?.close(true), QUIT_GRACE_MS)
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#client.once('close', () => {
        signal.removeEventListener('abort', leave)
        clearTimeout(grace)
        this.#end()
        if (signal.aborted) resolve()
        else reject(this.#lost())
      })
      this.#client.connect()
    })
  }

  /** Sends the lines one after the other; resolves once the server has taken them all. */
  async send(peer: string, lines: readonly string[], signal: AbortSignal): Promise<void> {
    if (!this.#isReady) throw unsent(this.#lost())
    if (!TARGET.test(peer)) throw new GatewayError('NOT_FOUND', 'There can be nobody of this name on IRC.')
    if (this.#membership?.isAwaited(peer)) {
      throw new GatewayError('UNAVAILABLE', 'The channel is not joined now; it will be joined again.')
    }
    const failed = new AbortController()
    const stop = AbortSignal.any([signal, failed.signal])
    const pending: Pending = {
      target: this.#client.caseLower(peer),
      token: `lurkbot-${++this.#tokens}`,
      taken: () => {},
      fail: (error) => failed.abort(error),
    }
    this.#pending.add(pending)
    try {
      for (const line of lines) {
        await this.#pacer.take(stop)
        this.#client.raw('PRIVMSG', peer, line)
      }
      const taken = new Promise<void>((resolve) => {
        pending.taken = resolve
      })
      this.#client.ping(pending.token)
      await abortable(taken, stop)
    } catch (error) {
      throw failed.signal.aborted ? failed.signal.reason : error
    } finally {
      this.#pending.delete(pending)
    }
  }

  #listen(): void {
    const client = this.#client
    client.on('registered', () => this.#registered())
    // By then the server has told how it compares names (005).
    client.once('motd', () => void this.#join())
    client.on('nick in use', () => this.#takeAnotherNick())
    client.on('nick invalid', () => {
      this.#fail(new GatewayError('INVALID_REQUEST', 'The IRC server does not accept the nick.'))
    })
    client.on('sasl failed', ({ reason }) => {
      this.#fail(new GatewayError('UNAUTHORIZED', `The login to the IRC account failed (${reason}).`))
    })
    client.on('irc error', ({ error, reason }) => {
      if (error === 'password_mismatch') {
        this.#fail(new GatewayError('UNAUTHORIZED', 'The IRC server refused the password.'))
      } else if (error === 'banned_from_network') {
        this.#fail(new GatewayError('FORBIDDEN', 'The IRC server has banned us.'))
      } else if (error === 'irc') this.#failure ??= hangUp(reason)
    })
    client.on('socket close', (error) => {
      this.#failure ??= broken(error)
    })
    client.on('ping timeout', () => {
      this.#fail(new GatewayError('UNAVAILABLE', 'The IRC server was silent for too long.'))
    })
    client.on('join', ({ nick, channel }) => {
      if (this.#isUs(nick)) this.#membership?.joined(channel)
    })
    client.on('part', ({ nick, channel }) => {
      if (this.#isUs(nick)) this.#membership?.lost(channel, 'left')
    })
    client.on('kick', ({ kicked, channel, nick, message }) => {
      if (this.#isUs(kicked)) this.#membership?.lost(channel, `kicked by ${nick}: ${message}`)
    })
    client.on('privmsg', (event) => this.#receive(event))
    client.on('action', (event) => this.#receive(event))
    client.connection.on('message', (message) => this.#answered(message))
  }

  #registered(): void {
    const { cap } = this.#client.network
    const { sasl, accountsOnly } = this.#settings.options
    if (sasl !== undefined && !cap.isEnabled('sasl')) {
      this.#fail(new GatewayError('UNAUTHORIZED', 'The IRC server offers no login to accounts (SASL).'))
    } else if (accountsOnly && !cap.isEnabled('account-tag')) {
      const message = 'The IRC server does not tell accounts (account-tag), which `accountsOnly` needs.'
      this.#fail(new GatewayError('FORBIDDEN', message))
    }
  }

  async #join(): Promise<void> {
    const { channels, channelKeys, rejoinDelayMs, maxRejoins } = this.#settings.options
    this.#membership = new Membership({
      rooms: channels,
      rejoinDelayMs,
      maxRejoins,
      fold: (name) => this.#client.caseLower(name),
      join: (name) => this.#client.join(name, channelKeys[name]),
      onTrouble: (error) => this.#inlet.troubled(error),
      log: this.#log,
    })
    await this.#membership.start()
    if (this.#isOver) return
    this.#isReady = true
    this.#readyAt = performance.now()
    this.#inlet.connected(this.#client.user.nick)
  }

  #takeAnotherNick(): void {
    if (this.#isReady) return
    const { nick } = this.#settings.options
    if (++this.#nicksTried > ALTERNATIVE_NICKS) {
      this.#fail(new GatewayError('UNAVAILABLE', 'The nick and its alternatives are in use.'))
    } else this.#client.changeNick(nick + '_'.repeat(this.#nicksTried))
  }

  #receive(event: MessageEvent): void {
    const message = this.#isOver ? null : toIncoming(event, this.#surroundings())
    if (message === null || (this.#settings.options.accountsOnly && !event.account)) return
    this.#inlet.receive(message).catch((err: unknown) => {
      // IRC has no way to give it back.
      this.#log.warn({ err }, 'message lost, the gateway could not take it')
    })
  }

  #surroundings(): Surroundings {
    const { user, network } = this.#client
    return {
      nick: user.nick,
      fold: (name) => this.#client.caseLower(name),
      isChannel: (name) => network.isChannelName(name),
    }
  }

  /** The server's answers to what we sent come in the order in which we sent it. */
  #answered({ command, params }: IrcMessage): void {
    const about = params[1]
    if (about === undefined) return
    if (command === 'PONG') {
      for (const pending of this.#pending) if (pending.token === params.at(-1)) pending.taken()
    } else if (/^(?:[45]\d\d|716)$/.test(command)) {
      if (this.#membership?.isJoining(about)) this.#membership.lost(about, `${command} ${params.at(-1)}`)
      const target = this.#client.caseLower(about)
      const mayReturn = performance.now() - this.#readyAt < this.#settings.options.returnGraceMs
      for (const pending of this.#pending) {
        if (pending.target === target) pending.fail(refusal(command, params.at(-1), mayReturn))
      }
    }
  }

  #isUs(nick: string): boolean {
    return this.#client.caseCompare(nick, this.#client.user.nick)
  }

  #fail(error: GatewayError): void {
    this.#failure ??= error
    this.#client.connection.transport?.close(true)
  }

  #end(): void {
    this.#isOver = true
    this.#isReady = false
    this.#membership?.close()
    for (const pending of this.#pending) pending.fail(unsent(this.#lost()))
  }

  #lost(): GatewayError {
    return this.#failure ?? new GatewayError('UNAVAILABLE', 'There is no connection to the IRC server.')
  }
}
