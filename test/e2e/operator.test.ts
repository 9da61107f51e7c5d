import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { runCli, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { asRoot, ROOT, TestDevice } from '../helpers/identities.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

const KEY = 'web:1:main'
const OPS = 'ops:1:main'

const CONFIG = `# by hand
auth:
  pairing: { enabled: true }
  tokens: [{ name: root, token: ${ROOT} }]
agents: { helper: { type: module, path: ./one.mjs } }
defaultAgent: helper
`

/** An agent that says its name and what it was told. */
const agent = (name: string) => `export default async (event) => '${name}: ' + event.payload.content\n`

t.test('a day of an operator', async (t) => {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const file = join(home, 'config.yaml')
  await writeFile(file, CONFIG)
  await writeFile(join(home, 'one.mjs'), agent('one'))
  await writeFile(join(home, 'two.mjs'), agent('two'))
  const start = async () => {
    const gateway = await startGateway({ home })
    t.teardown(() => gateway.kill9())
    return gateway
  }
  let gateway = await start()
  const open = async () => {
    const socket = new TestSocket(gateway.wsUrl)
    t.teardown(() => socket.terminate())
    await socket.opened
    return socket
  }
  const connect = async (hello: Record<string, unknown> = asRoot) => {
    const socket = await open()
    await socket.hello(hello)
    return socket
  }
  const cli = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli(args, { home, env: { LURKBOT_TOKEN: ROOT } })
    t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }
  const told = async (socket: TestSocket, content: string, key = KEY): Promise<string> => {
    const { outcome } = await socket.call('sessions.send', { content, wait: true }, key)
    return outcome.message?.content
  }

  let root = await connect()
  const phone = new TestDevice()
  const unknown = await phone.connect({ open })
  t.match(unknown.answer.error, { code: 'NOT_PAIRED' })
  const { payload: asked } = await root.event('pairing.requested')
  await cli(
    'gateway',
    'call',
    'pairing.approve',
    JSON.stringify({ code: asked.pairing.code, role: 'operator' }),
  )
  const paired = await phone.connect({ open })
  t.match(paired.answer, { type: 'hello-ok', auth: { role: 'operator' } })
  t.equal(await told(paired.socket, 'hello'), 'one: hello')

  const first = (await cli('token', 'new', 'ci', '--role', 'operator', '--session', 'web:*')).trim()
  const ci = await connect({ auth: { token: first } })
  t.equal(await told(ci, 'from ci'), 'one: from ci')
  t.match(await ci.refused('sessions.send', { content: 'x' }, OPS), { code: 'FORBIDDEN' })
  const { secret: second } = await root.call('tokens.rotate', { name: 'ci', overlapMs: 0 })
  t.match(await ci.closed, { code: 4401 }, 'the secret before is good for nothing')
  const again = await connect({ auth: { token: second } })
  t.equal(await told(again, 'again'), 'one: again')

  const { job } = await root.call(
    'cron.add',
    { schedule: { at: Date.now() + 500 }, payload: { kind: 'agentTurn', message: 'report' } },
    OPS,
  )
  await gateway.kill9()
  await until(() => Date.now() > job.nextRunAt)
  gateway = await start()
  root = await connect()
  const runs = async (): Promise<Frame[]> => (await root.call('cron.runs', { jobId: job.jobId })).runs
  await until(async () => (await runs()).some(({ status }) => status === 'completed'))
  t.equal((await runs()).length, 1)
  t.match((await root.call('sessions.history', {}, OPS)).messages.at(-1), { content: 'one: report' })

  await root.call('lanes.pause', {}, KEY)
  const laps = ['first', 'second'].map((content) => told(root, content))
  await until(async () => (await root.call('lanes.get', {}, KEY)).waiting === 2)
  t.match(await root.call('lanes.get', {}, KEY), { paused: true, running: null })
  await root.call('lanes.resume', {}, KEY)
  t.strictSame(await Promise.all(laps), ['one: first', 'one: second'])

  const changed = await root.call('config.set', { path: 'agents.helper.path', value: './two.mjs' })
  t.match(changed, { applied: ['agents.helper'], restartRequired: [] })
  t.match((await root.event('config.changed')).payload, { paths: ['agents.helper'], by: 'root' })
  t.equal(await told(root, 'and now?'), 'two: and now?')
  t.match(await readFile(file, 'utf8'), /^# by hand[\s\S]*two\.mjs/)
  t.match(await root.refused('config.set', { path: 'agents.helper.path', value: './none.mjs' }), {
    code: 'INVALID_REQUEST',
  })
  t.equal(await told(root, 'still there?'), 'two: still there?', 'a bad change changes nothing')

  const { socket: device } = await phone.connect({ open })
  const web = await connect({ auth: { token: second } })
  await root.call('devices.revoke', { deviceId: asked.pairing.deviceId })
  t.match(await device.closed, { code: 4401 })
  await cli('token', 'revoke', 'ci')
  t.match(await web.closed, { code: 4401 })
  t.match(await (await open()).hello({ auth: { token: second } }), { error: { code: 'UNAUTHORIZED' } })

  const { entries } = await root.call('audit.list', { principal: 'root' })
  const done = entries.map(({ method }: { method: string }) => method)
  for (const method of [
    ...['pairing.approve', 'tokens.new', 'tokens.rotate', 'lanes.pause', 'lanes.resume', 'config.set'],
    ...['devices.revoke', 'tokens.revoke'],
  ]) {
    t.ok(done.includes(method), method)
  }
  t.notMatch(JSON.stringify(entries), second)
  t.match(await gateway.stop(), { code: 0 })
})
