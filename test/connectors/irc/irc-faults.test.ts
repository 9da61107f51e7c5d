import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createIrcConnector } from '../../../src/connectors/irc/irc.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { createCertificate } from '../../auth/certificates.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { freePort } from '../../helpers/free-port.js'
import { joinIrc, startNgircd } from '../../helpers/ngircd.js'
import { until } from '../../helpers/until.js'

const target = (peer: string) => ({ peer, thread: null })

async function connect(t: Test, port: number, options: JsonObject = {}, env: NodeJS.ProcessEnv = {}) {
  const context = connectorContext({ env })
  const connector = await createIrcConnector(
    { host: '127.0.0.1', port, tls: false, nick: 'lurk', messagesPerSecond: 100, ...options },
    context,
  )
  return { connector, host: hostOf(t, connector), logged: context.logged }
}

t.test('a dead host is unavailable', async (t) => {
  const { host } = await connect(t, await freePort())
  await t.rejects(host.start(), { code: 'UNAVAILABLE', retryable: true, message: /ECONNREFUSED/ })
  await t.rejects(host.send(target('alice'), 'hi'), { code: 'UNAVAILABLE', retryable: true })
})

t.test('a wrong password is not tried again, and is not told', async (t) => {
  const { port } = await startNgircd(t, { password: 'right' })
  const { host, logged } = await connect(t, port, { passwordEnv: 'IRC' }, { IRC: 'wrong-one' })
  const error = await host.start().catch((error: unknown) => error)
  t.match(error, { code: 'UNAUTHORIZED', retryable: false })
  t.notMatch(JSON.stringify([logged, String(error)]), /wrong-one/)
  const right = await connect(t, port, { password: 'right' })
  await right.host.start()
})

t.test('a server without accounts does for nobody who needs one', async (t) => {
  const { port } = await startNgircd(t)
  const login = await connect(t, port, { sasl: { account: 'lurk', password: 'secret' } })
  await t.rejects(login.host.start(), { code: 'UNAUTHORIZED', retryable: false })
  const strict = await connect(t, port, { accountsOnly: true })
  await t.rejects(strict.host.start(), { code: 'FORBIDDEN', retryable: false })
})

t.test('TLS needs a certificate that is trusted', async (t) => {
  const certificate = await createCertificate()
  const { port } = await startNgircd(t, { tls: certificate })
  const folder = t.testdir()
  writeFileSync(join(folder, 'ca.pem'), certificate.cert)
  const untrusted = await connect(t, port, { tls: true })
  await t.rejects(untrusted.host.start(), { code: 'UNAVAILABLE', message: /SELF_SIGNED/ })
  const trusted = await connect(t, port, { tls: true, host: 'localhost', ca: join(folder, 'ca.pem') })
  await trusted.host.start()
  const blind = await connect(t, port, { tls: true, nick: 'blind', rejectUnauthorized: false })
  await blind.host.start()
  await trusted.host.send(target('blind'), 'hi')
  await until(() => blind.host.received.length === 1)
})

t.test('a server that dies ends everything, and is found again when it is back', async (t) => {
  const { port, program } = await startNgircd(t)
  const { host } = await connect(t, port, { messagesPerSecond: 1, burst: 2, channels: ['#lobby'] })
  await host.start()
  const refused = t.rejects(host.send(target('alice'), '1\n2\n3\n4'), {
    code: 'UNAVAILABLE',
    retryable: true,
  })
  await program.kill()
  await refused
  await until(() => host.ended !== null)
  t.match(host.ended?.error, { code: 'UNAVAILABLE', retryable: true })
  await t.rejects(host.send(target('alice'), 'hi'), { code: 'UNAVAILABLE', retryable: true })

  await program.start()
  await host.start()
  const alice = await joinIrc(t, port, 'alice')
  await host.send(target('alice'), 'back')
  await until(() => alice.heard.length === 1)
})

t.test('a server that is silent for too long counts as lost', async (t) => {
  const { port, program } = await startNgircd(t)
  const { host } = await connect(t, port, { pingIntervalMs: 100, pingTimeoutMs: 300 })
  await host.start()
  program.signal('SIGSTOP')
  await until(() => host.ended !== null)
  t.match(host.ended?.error, { code: 'UNAVAILABLE', message: /silent/ })
})

t.test('it leaves when it is told to, in whatever state, and comes again', async (t) => {
  const { port, program } = await startNgircd(t)
  const { connector, host } = await connect(t, port, { quitMessage: 'see you', channels: ['#lobby'] })
  const inlet = {
    connected: () => {},
    troubled: () => {},
    receive: () => Promise.reject(new Error('nobody')),
    knows: async () => false,
  }
  await connector.listen(inlet, AbortSignal.abort())
  const early = new AbortController()
  const listening = connector.listen(inlet, early.signal)
  early.abort()
  await listening

  await host.start()
  await host.stop()
  t.match(host.ended, { error: undefined })
  await host.start()
  program.signal('SIGSTOP')
  await host.stop()
  t.match(host.ended, { error: undefined })
  program.signal('SIGCONT')
  await connector.close?.()
  await connector.close?.()
})

t.test('what is being sent when it stops is given back, not left', async (t) => {
  const { port, program } = await startNgircd(t)
  const { connector, host } = await connect(t, port, { messagesPerSecond: 0.5, burst: 1 })
  await host.start()
  program.signal('SIGSTOP')
  const part = { attachments: [], idempotencyKey: 'k', runId: null, replyTo: null, part: 1, parts: 1 }
  const never = new AbortController().signal
  const lines = ['waits for its answer', 'waits\nfor its turn']
  const sending = lines.map((text) => connector.send({ ...part, target: target('alice'), text }, never))
  const settled = Promise.allSettled(sending)
  await host.stop()
  program.signal('SIGCONT')
  for (const result of await settled) {
    t.match(result, { status: 'rejected', reason: { code: 'UNAVAILABLE', retryable: true } })
  }
})

t.test('a channel that it was thrown out of is joined again, not for ever', async (t) => {
  const { port } = await startNgircd(t)
  const alice = await joinIrc(t, port, 'alice', ['#lobby'])
  alice.client.raw('MODE', '#lobby', '+n')
  const { host, logged } = await connect(t, port, {
    channels: ['#lobby'],
    rejoinDelayMs: 50,
    maxRejoins: 1,
  })
  await host.start()
  alice.client.raw('KICK', '#lobby', 'lurk', 'out')
  await until(() => logged.some(([level]) => level === 'warn'))
  t.match(host.trouble, { code: 'FORBIDDEN', message: 'Not in #lobby (kicked by alice: out).' })
  await t.rejects(host.send(target('#lobby'), 'hi'), { code: 'UNAVAILABLE', retryable: true })
  await until(() => host.send(target('#lobby'), 'back').then(Boolean, () => false))
  await until(() => alice.heard.length > 0)
  t.equal(host.trouble, null)
  alice.client.raw('KICK', '#lobby', 'lurk', 'out')
  await until(() => logged.some(([level]) => level === 'error'))
  await t.rejects(host.send(target('#lobby'), 'hi'), { code: 'FORBIDDEN', retryable: false })
})

t.test('a channel that does not let it in keeps nothing else from working', async (t) => {
  const { port } = await startNgircd(t, {
    further: ['[Channel]', 'Name = #closed', 'Modes = +i'],
  })
  const { host, logged } = await connect(t, port, { channels: ['#closed', '#open'], maxRejoins: 0 })
  await host.start()
  t.match(logged, [['error', { room: '#closed' }, 'room lost for good']])
  await host.send(target('#open'), 'hi')
})

t.test('a message that the gateway cannot take is told in the log', async (t) => {
  const { port } = await startNgircd(t)
  const { host, logged } = await connect(t, port)
  host.answer = () => Promise.reject(new Error('no room'))
  await host.start()
  const alice = await joinIrc(t, port, 'alice')
  alice.client.say('lurk', 'hi')
  await until(() => logged.some(([level]) => level === 'warn'))
})
