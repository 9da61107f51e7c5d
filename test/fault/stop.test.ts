import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { Agent, get, request } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { findRunning, isRunning } from '../../src/cli/pid-file.js'
import { gatewayEnv, PROGRAM, runCli, spawnCli } from '../helpers/gateway-process.js'
import { RawSocket } from '../helpers/raw-socket.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { harness, history, idle, replayed, verify } from './stop-harness.js'

const HOUR_MS = 3_600_000

/** A TCP connection that says this, or nothing, and then waits. */
async function silent(t: Test, url: string, text = ''): Promise<void> {
  const { port } = new URL(url)
  const socket = connectTcp(Number(port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  if (text !== '') await new Promise<void>((resolve) => socket.write(text, () => resolve()))
}

const statusOf = async (url: string): Promise<number> => (await fetch(url)).status

t.test('an idle gateway exits at once, whoever is connected: no bound has to pass', async (t) => {
  const h = harness(t, { shutdown: { drainTimeoutMs: HOUR_MS }, connection: { closeGraceMs: 100 } })
  const gateway = await h.start()
  const clients = await Promise.all([h.connect(gateway), h.connect(gateway)])
  const mute = new TestSocket(gateway.wsUrl)
  await mute.opened
  const dead = await RawSocket.upgraded(gateway.url)
  t.teardown(() => dead.destroy())
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  await new Promise((resolve) =>
    get(`${gateway.url}/health`, { agent }, (response) => response.resume().on('end', resolve)),
  )
  await silent(t, gateway.url)
  await silent(t, gateway.url, 'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n')
  const upload = request(gateway.url, { method: 'POST', headers: { 'content-length': '9' } })
  upload.on('error', () => {})
  upload.write('x')
  t.teardown(() => upload.destroy())

  t.same(await gateway.stop(), { code: 0, signal: null })
  for (const client of [...clients, mute]) t.equal((await client.closed).code, 1001)
  t.notOk(existsSync(join(h.home, 'journal.db-wal')), 'the journal was put in order')
})

t.test('with TLS, too: someone who connects and never begins the handshake does not hold it', async (t) => {
  const h = harness(t)
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 })
  h.file('cert.pem', pems.cert)
  h.file('key.pem', pems.private)
  h.configure({
    tls: { enabled: true, cert: './cert.pem', key: './key.pem' },
    shutdown: { closeTimeoutMs: HOUR_MS },
  })
  const gateway = await h.start()
  await silent(t, gateway.url)
  t.same(await gateway.stop(), { code: 0, signal: null })
})

t.test(
  'full lanes: what ends in the drain is kept and seen, the rest continues after the start',
  async (t) => {
    const lanes = { retry: { attempts: 3, backoffMs: HOUR_MS, maxBackoffMs: HOUR_MS }, abortGraceMs: 50 }
    const h = harness(t, { lanes, shutdown: { drainTimeoutMs: 2_000 } })
    const first = await h.start()
    const socket = await h.connect(first)
    const sent = new Map<string, string[]>()
    const send = async (key: string, content: string) => {
      const { runId } = await socket.call('sessions.send', { content }, key)
      sent.set(key, [...(sent.get(key) ?? []), runId])
      return runId as string
    }
    const kinds = ['hang', 'deaf', 'fail', 'until go', 'paused']
    await socket.call('sessions.create', {}, 'paused:1')
    await socket.call('lanes.pause', {}, 'paused:1')
    for (const kind of kinds)
      for (const n of [1, 2, 3]) await send(`${kind.replace(' ', '-')}:1`, `${kind} ${n}`)
    await socket.all(4, (frame) => frame.event === 'agent.started')
    await socket.event('agent.retrying')

    const exited = first.stop()
    await socket.event('gateway.shutdown')
    t.match(await socket.refused('sessions.send', { content: 'too late' }, 'new:1'), {
      code: 'UNAVAILABLE',
      retryable: true,
      retryAfterMs: Number,
    })
    t.equal(await statusOf(`${first.url}/health/ready`), 503)
    t.equal(await statusOf(`${first.url}/health/live`), 200)
    h.file('go')
    const final = await socket.event('agent.completed')
    t.equal(final.payload.runId, sent.get('until-go:1')![0])
    t.same(await exited, { code: 0, signal: null }, 'though its agents would take an hour')
    t.equal((await socket.closed).code, 1001)
    t.notOk(existsSync(join(h.home, 'journal.db-wal')), 'the journal was put in order')

    h.file('calm')
    const second = await h.start()
    const back = await h.connect(second)
    await back.call('lanes.resume', {}, 'paused:1')
    await idle(back)
    const log = await replayed(h, second)
    await verify(t, log, [...log.events()] as never[], sent)
    for (const kind of kinds) {
      const answers = (await history(back, `${kind.replace(' ', '-')}:1`)).filter(
        ({ role }) => role === 'assistant',
      )
      t.same(
        answers.map(({ content }) => content),
        [1, 2, 3].map((n) => `answer to ${kind} ${n}`),
      )
    }
    const begun = (content: string) => h.witness().filter((line) => line.endsWith(` ${content}`)).length
    t.same(['until go 1', 'hang 1', 'deaf 1', 'fail 1', 'hang 2'].map(begun), [1, 2, 2, 2, 1])
  },
)

t.test('a second signal exits now, and nothing that was acknowledged is lost', async (t) => {
  const h = harness(t, { shutdown: { drainTimeoutMs: HOUR_MS } })
  const first = await h.start()
  const socket = await h.connect(first)
  const sent = new Map<string, string[]>()
  for (const key of ['a:1', 'a:2']) {
    for (const content of ['deaf', 'next']) {
      const { runId } = await socket.call('sessions.send', { content }, key)
      sent.set(key, [...(sent.get(key) ?? []), runId])
    }
  }
  await socket.all(2, (frame) => frame.event === 'agent.started')
  first.signal('SIGTERM')
  await socket.event('gateway.shutdown')
  // Within the same moment it counts as the first: a terminal and npm both send it.
  const again = setInterval(() => first.signal('SIGINT'), 50)
  t.teardown(() => clearInterval(again))
  t.same(await first.exited, { code: 1, signal: null })
  t.match(first.output(), /second signal/)
  t.notOk(existsSync(join(h.home, 'gateway.pid')))

  h.file('calm')
  const second = await h.start()
  await idle(await h.connect(second))
  const log = await replayed(h, second)
  await verify(t, log, [...log.events()] as never[], sent)
})

t.test('a signal while it starts ends it in order, before it ever listens', async (t) => {
  const h = harness(t)
  // Begins and never ends loading until the signal is there: a start that takes its time.
  const slow = `export default async () => {
    console.log('loading')
    await new Promise((resolve) => process.once('SIGTERM', resolve))
  }`
  const before = await h.start()
  const socket = await h.connect(before)
  h.file('calm')
  await socket.call('sessions.send', { content: 'hi', wait: true }, 'a:1')
  await before.stop()
  h.configure({ plugins: [h.plugin('slow.mjs', slow)] })
  const starting = spawnCli(['gateway', 'start'], { home: h.home })
  t.teardown(() => starting.kill('SIGKILL'))
  let output = ''
  starting.stdout.on('data', (text) => {
    output += text
    if (output.includes('loading')) starting.kill('SIGTERM')
  })
  const ended = new Promise((resolve) => starting.once('close', (code, signal) => resolve({ code, signal })))
  t.same(await ended, { code: 0, signal: null })
  t.notMatch(output, /listen|started/)
  t.notOk(existsSync(join(h.home, 'gateway.pid')))
  t.notOk(existsSync(join(h.home, 'journal.db-wal')), 'the journal was put in order')
})

t.test('plugins that hang or throw while it stops hold up nobody else, and are named', async (t) => {
  const h = harness(t, { shutdown: { closeTimeoutMs: 1_000 } })
  const say = (name: string) => `console.log('${name}')`
  const throwing = h.plugin(
    'throwing.mjs',
    `export default async (app) => {
      app.addHook('preClose', (done) => { ${say('T1')}; done(new Error('preClose')) })
      app.addHook('preClose', async () => { ${say('T2')}; throw new Error('preClose') })
      app.addHook('onClose', () => { ${say('T3')}; throw new Error('onClose') })
      app.addHook('onClose', (instance, done) => { ${say('T4')}; done(new Error('onClose')) })
      app.on('gateway:stopping', () => { throw new Error('hook') })
      app.on('gateway:stopping', () => new Promise(() => {}))
    }`,
  )
  const hanging = h.plugin(
    'hanging.mjs',
    `export default async (app) => {
      app.register(async (child) => {
        child.addHook('preClose', (done) => { ${say('H1')} })
        child.addHook('onClose', () => { ${say('H2')}; return new Promise(() => {}) })
        child.addHook('onClose', (instance, done) => { ${say('H3')} })
      })
    }`,
  )
  h.configure({ plugins: [throwing] })
  const first = await h.start()
  const client = await h.connect(first)
  t.same(await first.stop(), { code: 0, signal: null }, 'failing is no reason not to have stopped')
  for (const name of ['T1', 'T2', 'T3', 'T4']) t.match(first.output(), name)
  t.match(first.output(), /onClose of the plugin '\.\/throwing\.mjs'/)
  t.equal((await client.closed).code, 1001)

  h.configure({ plugins: [throwing, hanging], shutdown: { closeTimeoutMs: 1_000 } })
  const second = await h.start()
  const other = await h.connect(second)
  t.same(await second.stop(), { code: 1, signal: null })
  for (const name of ['T1', 'T2', 'T3', 'T4', 'H1', 'H2', 'H3']) t.match(second.output(), name)
  t.match(second.output(), /"hanging":\[.*onClose of the plugin '\.\/hanging\.mjs'/)
  t.equal((await other.closed).code, 1001)
  t.notOk(existsSync(join(h.home, 'journal.db-wal')), 'the journal was put in order nevertheless')
})

/** As on a disk that does not answer: the journal's close never ends, and a thread sits in a system call. */
const STUCK = `
import { Worker } from 'node:worker_threads'
export default async (app) => {
  app.journal.close = () => {
    console.log('closing the journal')
    return new Promise(() => {})
  }
  const fifo = new URL('./fifo', import.meta.url).pathname
  const worker = new Worker('require("node:fs").openSync(' + JSON.stringify(fifo) + ')', { eval: true })
  await new Promise((resolve) => worker.once('online', resolve))
}`

t.test(
  'a disk that hangs does not hold the stop: it ends by force, says why, and loses nothing',
  async (t) => {
    const h = harness(t)
    execFileSync('mkfifo', [join(h.home, 'fifo')])
    const plugins = [h.plugin('stuck.mjs', STUCK)]
    h.configure({ plugins, shutdown: { drainTimeoutMs: 0, closeTimeoutMs: 300 } })
    const first = await h.start()
    await (await h.connect(first)).call('sessions.send', { content: 'hang', idempotencyKey: 'k' }, 'a:1')
    t.same(await first.stop(), { code: null, signal: 'SIGKILL' }, 'process.exit would wait for the thread')
    t.match(first.output(), /"hanging":\["journal"\]/)
    t.notOk(existsSync(join(h.home, 'gateway.pid')))

    h.configure({ plugins, shutdown: { drainTimeoutMs: 0, closeTimeoutMs: HOUR_MS } })
    const second = await h.start()
    second.signal('SIGTERM')
    const again = setInterval(() => second.signal('SIGTERM'), 50)
    t.teardown(() => clearInterval(again))
    t.same(
      await second.exited,
      { code: null, signal: 'SIGKILL' },
      'a second signal does not wait for the bound',
    )

    h.file('calm')
    h.configure({})
    const third = await h.start()
    const socket = await h.connect(third)
    await idle(socket)
    t.same(
      (await history(socket, 'a:1')).map(({ content }) => content),
      ['hang', 'answer to hang'],
    )
  },
)

t.test('closing its terminal stops it in order; a crash ends it as a crash', async (t) => {
  const h = harness(t)
  // It is a leader's terminal that goes when the one who keeps it dies.
  const command = `exec ${process.execPath} ${PROGRAM} gateway start`
  const keeper = spawn('script', ['-qfc', command, '/dev/null'], { env: gatewayEnv(h.home), stdio: 'ignore' })
  t.teardown(() => keeper.kill('SIGKILL'))
  const exists = await new Promise((resolve) => {
    keeper.once('spawn', () => resolve(true))
    keeper.once('error', () => resolve(false))
  })
  if (!exists) {
    t.pass('there is no script(1) here')
    return
  }
  await until(() => findRunning(h.home) !== null)
  const record = findRunning(h.home)!
  t.teardown(() => {
    if (isRunning(record)) process.kill(record.pid, 'SIGKILL')
  })
  process.kill(record.pid, 'SIGHUP')
  t.match(await runCli(['gateway', 'restart'], h), { code: 0 }, 'SIGHUP from someone else is no hang-up')
  keeper.kill('SIGKILL')
  await until(() => !isRunning(record))
  t.notOk(existsSync(join(h.home, 'gateway.pid')))
  t.notOk(existsSync(join(h.home, 'journal.db-wal')), 'the journal was put in order')

  const crashing = await h.start()
  crashing.signal('SIGSEGV')
  t.same(
    await crashing.exited,
    { code: null, signal: 'SIGSEGV' },
    'a handler would be called again and again',
  )
})
