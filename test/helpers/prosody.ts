import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, client as createClient, xml } from '@xmpp/client'
import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { ServerProgram } from './server-program.js'
import { until } from './until.js'

export interface ProsodyOptions {
  /** By name, with their passwords. */
  readonly users: Readonly<Record<string, string>>
  /** PEM; without it there is no TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Logins that it does not offer. */
  readonly withoutMechanisms?: readonly string[]
  /** Neither asks for acknowledgements nor keeps what has none (XEP-0198). */
  readonly withoutAcks?: boolean
  /** Whether TLS begins with the connection. */
  readonly direct?: boolean
}

export interface Prosody {
  readonly port: number
  readonly service: string
  readonly program: ServerProgram
}

/** Prosody, a real XMPP server, for the domain `localhost` with rooms at `conference.localhost`; killed with the test. */
export async function startProsody(t: Test, options: ProsodyOptions): Promise<Prosody> {
  const folder = mkdtempSync(join(tmpdir(), 'lurkbot-prosody-'))
  const port = await freePort()
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  mkdirSync(join(folder, 'data/localhost/accounts'), { recursive: true })
  for (const [name, password] of Object.entries(options.users)) {
    file(`data/localhost/accounts/${name}.dat`, `return { ["password"] = ${JSON.stringify(password)}; }\n`)
  }
  const { tls, direct = false, withoutMechanisms = [], withoutAcks = false } = options
  const modules = ['roster', 'saslauth', 'disco', 'ping', 'user_account_management']
  if (!withoutAcks) modules.push('smacks')
  if (tls !== undefined) modules.push('tls')
  const list = (names: readonly string[]) => names.map((name) => `"${name}"`).join(', ')
  const config = [
    'daemonize = false',
    // A container's tests run as root.
    'run_as_root = true',
    `pidfile = "${folder}/prosody.pid"`,
    `data_path = "${folder}/data"`,
    `certificates = "${folder}"`,
    'log = { warn = "*console" }',
    'use_libevent = false',
    'authentication = "internal_plain"',
    `modules_enabled = { ${list(modules)} }`,
    'modules_disabled = { "s2s" }',
    `disable_sasl_mechanisms = { ${list(withoutMechanisms)} }`,
    'c2s_interfaces = { "127.0.0.1" }',
    `c2s_ports = { ${direct ? '' : port} }`,
    `c2s_direct_tls_interfaces = { "127.0.0.1" }`,
    `c2s_direct_tls_ports = { ${direct ? port : ''} }`,
    `c2s_require_encryption = ${tls !== undefined}`,
    'allow_unencrypted_plain_auth = true',
    ...(tls === undefined
      ? []
      : [`ssl = { key = "${file('key.pem', tls.key)}"; certificate = "${file('cert.pem', tls.cert)}" }`]),
    'VirtualHost "localhost"',
    'Component "conference.localhost" "muc"',
  ]
  const program = new ServerProgram(
    ['prosody', '-F', '--config', file('prosody.cfg.lua', `${config.join('\n')}\n`)],
    port,
  )
  t.teardown(async () => {
    await program.kill()
    rmSync(folder, { recursive: true, force: true })
  })
  await program.start()
  return { port, program, service: `${direct ? 'xmpps' : 'xmpp'}://127.0.0.1:${port}` }
}

const NS_MUC = 'http://jabber.org/protocol/muc'

type Stanza = ReturnType<typeof xml>

/** A person with a client of their own. */
export class XmppPerson {
  readonly heard: Stanza[] = []

  constructor(
    readonly client: Client,
    readonly jid: string,
  ) {
    client.on('stanza', (stanza) => this.heard.push(stanza))
  }

  /** The texts of the messages from an address: a bare JID, or an occupant's. */
  texts(from: string): string[] {
    return this.messages(from).flatMap((stanza) => stanza.getChildText('body') ?? [])
  }

  messages(from: string): Stanza[] {
    return this.heard.filter(
      (stanza) =>
        stanza.is('message') && (stanza.attrs.from === from || stanza.attrs.from?.startsWith(`${from}/`)),
    )
  }

  async say(to: string, text: string, type: 'chat' | 'groupchat' = 'chat', id?: string): Promise<void> {
    await this.client.send(xml('message', { to, type, id }, xml('body', {}, text)))
  }

  /** Enters a room, which is made where there is none. */
  async join(room: string, nick: string): Promise<void> {
    await this.client.send(xml('presence', { to: `${room}/${nick}` }, xml('x', { xmlns: NS_MUC })))
    await until(() => this.heard.some((stanza) => isOwnPresence(stanza, `${room}/${nick}`)))
  }

  /** Configures a room that they have made, which also opens it to others. */
  async configure(room: string, fields: Readonly<Record<string, string>> = {}): Promise<void> {
    const values = { FORM_TYPE: `${NS_MUC}#roomconfig`, ...fields }
    const form = Object.entries(values).map(([name, value]) =>
      xml('field', { var: name }, xml('value', {}, value)),
    )
    const query = { xmlns: `${NS_MUC}#owner` }
    await this.client.iqCaller.set(
      xml('query', query, xml('x', { xmlns: 'jabber:x:data', type: 'submit' }, ...form)),
      room,
    )
  }

  /** Deletes their own account, and with that ends all connections of it (XEP-0077 §3.2). */
  async deleteAccount(): Promise<void> {
    const query = xml('query', { xmlns: 'jabber:iq:register' }, xml('remove'))
    await this.client.send(xml('iq', { type: 'set', id: 'remove' }, query))
  }

  /** What the owner of a room may do to `nick`: `{ role: 'visitor' }` mutes them, `{ role: 'none' }` throws them out. */
  async change(room: string, nick: string, change: Readonly<Record<string, string>>): Promise<void> {
    await this.client.iqCaller.set(
      xml('query', { xmlns: `${NS_MUC}#admin` }, xml('item', { nick, ...change })),
      room,
    )
  }
}

function isOwnPresence(stanza: Stanza, occupant: string): boolean {
  const details = stanza.getChild('x', `${NS_MUC}#user`)
  const codes = details?.getChildren('status').map(({ attrs }) => attrs.code) ?? []
  return stanza.is('presence') && stanza.attrs.from === occupant && codes.includes('110')
}

/** Logs in to a server without TLS; leaves with the test. */
export async function joinXmpp(
  t: Test,
  server: Prosody,
  name: string,
  password: string,
): Promise<XmppPerson> {
  const client = createClient({
    service: server.service,
    domain: 'localhost',
    // Its SCRAM takes seconds.
    credentials: (authenticate) => authenticate({ username: name, password }, 'PLAIN', xml('user-agent')),
  })
  client.reconnect.stop()
  // The library counts stanzas from before the server does, which the server ends the connection for.
  client.prependListener('element', (element) => {
    if (element.is('features')) element.remove('sm', 'urn:xmpp:sm:3')
  })
  const person = new XmppPerson(client, `${name}@localhost`)
  client.on('error', () => {})
  await client.start()
  t.teardown(() => client.stop().catch(() => {}))
  await client.send(xml('presence'))
  return person
}
