import { parseOptions } from '../../config/parse-options.js'
import type { Log } from '../../log.js'
import { GatewayError } from '../../protocol/errors.js'
import type { Capabilities, Connector, ConnectorFactory, Inlet, OutgoingPart, Sent } from '../connector.js'
import { password } from '../password.js'
import { readAuthorities } from '../tls-authorities.js'
import { IrcLink, type LinkSettings } from './link.js'
import { lengthCounter, toLines } from './messages.js'
import { checkOptions, IrcOptions } from './options.js'

/** A bot in channels and private conversations of one IRC network (RFC 1459, IRCv3 where the server has it). */
class IrcConnector implements Connector {
  readonly type = 'irc'
  readonly capabilities: Capabilities
  readonly unset: string | undefined
  readonly #settings: LinkSettings
  readonly #log: Log
  #link: IrcLink | null = null

  constructor(settings: LinkSettings, unset: string | undefined, log: Log) {
    const { maxLineBytes } = settings.options
    this.unset = unset
    this.#settings = settings
    this.#log = log
    this.capabilities = {
      maxLength: maxLineBytes,
      lengthOf: lengthCounter(maxLineBytes),
      threads: false,
      attachments: false,
      idempotent: false,
      // Clients take a line that begins with a slash for one of their own commands.
      commandPrefix: '!',
      // All of them take their turns in the same pace.
      concurrency: 1,
      trusted: false,
    }
  }

  async listen(inlet: Inlet, signal: AbortSignal): Promise<void> {
    const link = new IrcLink(this.#settings, inlet, this.#log)
    this.#link = link
    try {
      await link.run(signal)
    } finally {
      this.#link = null
    }
  }

  async send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    if (this.#link === null)
      throw new GatewayError('UNAVAILABLE', 'There is no connection to the IRC server.')
    const lines = toLines(part, this.#settings.options.maxLineBytes)
    if (lines.length > 0) await this.#link.send(part.target.peer, lines, signal)
    return { messageId: null }
  }
}

export const createIrcConnector: ConnectorFactory = (given, { env, baseDir, log }) => {
  const options = parseOptions(IrcOptions, given, (parsed) => checkOptions(parsed, env))
  const settings = {
    options,
    password: password.read(options, env),
    saslPassword: options.sasl && password.read(options.sasl, env),
    ca: readAuthorities(options.ca, baseDir),
  }
  const unset = password.unset(options, env) ?? (options.sasl && password.unset(options.sasl, env))
  return new IrcConnector(settings, unset, log)
}
