import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import framework, { type Client, type MessageEvent } from 'irc-framework'
import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { ServerProgram } from './server-program.js'
import { until } from './until.js'

export interface NgircdOptions {
  readonly password?: string
  /** PEM; then it speaks TLS only. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Lines of `[Channel]` sections and the like. */
  readonly further?: readonly string[]
}

export interface Ngircd {
  readonly port: number
  readonly program: ServerProgram
}

/** ngIRCd, a real IRC server, on a free port; killed with the test. */
export async function startNgircd(t: Test, options: NgircdOptions = {}): Promise<Ngircd> {
  const folder = mkdtempSync(join(tmpdir(), 'lurkbot-ngircd-'))
  const port = await freePort()
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    // Started by root it gives that up before it reads some of them.
    chmodSync(join(folder, name), 0o644)
    return join(folder, name)
  }
  chmodSync(folder, 0o755)
  const { password, tls, further = [] } = options
  const config = [
    '[Global]',
    'Name = irc.lurkbot.test',
    'Info = test',
    'Listen = 127.0.0.1',
    // Without a port of its own it would open 6667.
    `Ports = ${tls === undefined ? port : await freePort()}`,
    'MotdPhrase = "hello"',
    ...(password === undefined ? [] : [`Password = ${password}`]),
    '[Limits]',
    'MaxConnectionsIP = 0',
    'MaxNickLength = 20',
    // It would slow down the test's own clients.
    'MaxPenaltyTime = 0',
    '[Options]',
    'DNS = no',
    'Ident = no',
    'PAM = no',
    ...(tls === undefined
      ? []
      : [
          '[SSL]',
          `Ports = ${port}`,
          `CertFile = ${file('cert.pem', tls.cert)}`,
          `KeyFile = ${file('key.pem', tls.key)}`,
        ]),
    ...further,
  ]
  const program = new ServerProgram(
    ['/usr/sbin/ngircd', '--nodaemon', '--config', file('ngircd.conf', `${config.join('\n')}\n`)],
    port,
  )
  t.teardown(async () => {
    await program.kill()
    rmSync(folder, { recursive: true, force: true })
  })
  await program.start()
  return { port, program }
}

/** A person with a client of their own. */
export class IrcPerson {
  readonly heard: MessageEvent[] = []
  readonly noticed: MessageEvent[] = []

  constructor(readonly client: Client) {
    client.on('privmsg', (event) => this.heard.push(event))
    client.on('notice', (event) => {
      if (!event.from_server) this.noticed.push(event)
    })
  }

  /** The texts of what they heard of `target`: a channel, or their own nick. */
  texts(target: string): string[] {
    return this.heard.filter((event) => event.target === target).map(({ message }) => message)
  }

  async join(channel: string, key?: string): Promise<void> {
    const joined = new Promise<void>((resolve) => {
      this.client.on('join', (event) => {
        if (event.nick === this.client.user.nick && event.channel === channel) resolve()
      })
    })
    this.client.join(channel, key)
    await joined
  }
}

/** Connects without TLS; quits with the test. */
export async function joinIrc(t: Test, port: number, nick: string, channels: readonly string[] = []) {
  const client = new framework.Client({
    host: '127.0.0.1',
    port,
    nick,
    username: 'person',
    auto_reconnect: false,
    // The connector's messages come unpaced to them; they need no pings either.
    ping_interval: 0,
    ping_timeout: 0,
  })
  const person = new IrcPerson(client)
  let isRegistered = false
  let isClosed = false
  client.once('motd', () => {
    isRegistered = true
  })
  client.once('close', () => {
    isClosed = true
  })
  client.connect()
  await until(() => isRegistered || isClosed)
  if (isClosed) throw new Error(`${nick} could not connect`)
  t.teardown(async () => {
    client.connection.end()
    await until(() => isClosed)
  })
  for (const channel of channels) await person.join(channel)
  return person
}
