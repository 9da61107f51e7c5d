import { jid } from '@xmpp/client'
import { abortable } from '../../agents/abort.js'
import { parseOptions } from '../../config/parse-options.js'
import type { Log } from '../../log.js'
import { GatewayError } from '../../protocol/errors.js'
import type {
  Capabilities,
  Connector,
  ConnectorFactory,
  Inlet,
  OutgoingPart,
  Sent,
  Target,
} from '../connector.js'
import { password } from '../password.js'
import { readAuthorities } from '../tls-authorities.js'
import { findAddresses } from './addresses.js'
import { type LinkSettings, XmppLink } from './link.js'
import { checkOptions, XmppOptions } from './options.js'

/** Clients show “is typing” for about half a minute without a word (XEP-0085 §5.1). */
const TYPING_INTERVAL_MS = 20_000

/** An account in direct chats and rooms (RFC 6120, RFC 6121, XEP-0045). */
class XmppConnector implements Connector {
  readonly type = 'xmpp'
  readonly capabilities: Capabilities
  readonly unset: string | undefined
  readonly #settings: LinkSettings
  readonly #ca: string | undefined
  readonly #log: Log
  #link: XmppLink | null = null
  #attempts = 0

  constructor(settings: LinkSettings, unset: string | undefined, ca: string | undefined, log: Log) {
    this.unset = unset
    this.#settings = settings
    this.#ca = ca
    this.#log = log
    this.capabilities = {
      maxLength: settings.options.maxMessageLength,
      threads: false,
      attachments: false,
      idempotent: false,
      // Many clients have commands of their own that begin with a slash.
      commandPrefix: '!',
      typingIntervalMs: TYPING_INTERVAL_MS,
      trusted: false,
    }
  }

  async listen(inlet: Inlet, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const { options, self } = this.#settings
    const finding = findAddresses(options, jid(self).domain, this.#ca)
    const addresses = await abortable(finding, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error
      return []
    })
    // Where one does not answer the next attempt goes to another.
    const address = addresses[this.#attempts++ % addresses.length]
    if (address === undefined) return
    const link = new XmppLink(this.#settings, address, inlet, this.#log)
    this.#link = link
    try {
      await link.run(signal)
    } finally {
      this.#link = null
    }
  }

  async send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    if (this.#link === null) {
      throw new GatewayError('UNAVAILABLE', 'There is no connection to the XMPP server.')
    }
    return { messageId: await this.#link.send(part, signal) }
  }

  async typing(target: Target): Promise<void> {
    this.#link?.typing(target)
  }
}

export const createXmppConnector: ConnectorFactory = (given, { env, baseDir, log }) => {
  const options = parseOptions(XmppOptions, given, (parsed) => checkOptions(parsed, env))
  const account = jid(options.jid)
  const settings: LinkSettings = {
    options,
    self: account.toString(),
    password: password.read(options, env) ?? '',
    rooms: options.rooms.map((room) => ({
      jid: jid(room.jid).toString(),
      nick: room.nick ?? account.local,
      password: password.read(room, env),
    })),
  }
  const unset = [options, ...options.rooms].map((one) => password.unset(one, env)).find((one) => one)
  return new XmppConnector(settings, unset, readAuthorities(options.ca, baseDir), log)
}
