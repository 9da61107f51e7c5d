import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { DaemonReport } from '../../src/cli/gateway-daemon.js'
import { processExists } from '../../src/cli/process-identity.js'
import { freePort } from '../helpers/free-port.js'
import { type RunResult, runCli, spawnCli } from '../helpers/gateway-process.js'
import { until } from '../helpers/until.js'
import { newHome } from './running.js'

const SECRET = 'a-token-that-nobody-may-read'

/** `start --daemon --json`; what it started goes with the test. */
async function startDaemon(t: Test, home: string, args: string[] = [], env: NodeJS.ProcessEnv = {}) {
  const result = await runCli([...args, 'gateway', 'start', '--daemon', '--json'], { home, env })
  t.equal(result.code, 0, result.stderr || result.stdout)
  const report = JSON.parse(result.stdout) as DaemonReport & { pid: number; logFile: string; url: string }
  t.teardown(async () => {
    if (processExists(report.pid)) process.kill(report.pid, 'SIGKILL')
    await until(() => !processExists(report.pid))
  })
  return report
}

const messages = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).msg as string)

t.test(
  'in the background: ready, looked at, followed through rotations and a restart, killed, started again, stopped',
  async (t) => {
    const home = newHome(t)
    writeFileSync(
      join(home, 'talker.mjs'),
      `export default (event, { log }) => {
      for (let i = 0; i < 20; i++) log.info({ i, password: 'p', text: 'x'.repeat(100) }, 'said ' + event.payload.content + ' ' + i)
      log.warn('${SECRET}')
      console.error('outside the log')
      return 'done'
    }`,
    )
    writeFileSync(
      join(home, 'config.yaml'),
      `agents: {talker: {type: module, path: ./talker.mjs}}
defaultAgent: talker
auth: {enabled: true, tokens: [${SECRET}]}
log: {file: {maxBytes: 1024, keepFiles: 100}}
`,
    )
    const { pid, url, logFile, errorLogFile } = await startDaemon(t, home)
    t.equal((await fetch(`${url}/health/ready`)).status, 200, 'ready when the command returns')
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      t.equal(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]), pid, 'a session of its own')
    }
    const status = await runCli(['gateway', 'status', '--json'], { home })
    t.match(JSON.parse(status.stdout), {
      status: 'running',
      pid,
      url,
      home,
      logFile,
      profile: null,
      stale: null,
    })
    t.match(await runCli(['gateway', 'start', '--daemon'], { home }), {
      code: 69,
      stdout: '',
      stderr: new RegExp(`already at ${url} \\(process ${pid}\\)`),
    })

    const following = spawnCli(['gateway', 'logs', '-f', '-n', '0', '--level', 'info'], { home })
    t.teardown(() => following.kill('SIGKILL'))
    let followed = ''
    following.stdout.on('data', (text) => {
      followed += text
    })
    const say = (content: string) =>
      runCli(
        [
          'gateway',
          'call',
          'sessions.send',
          JSON.stringify({ content, wait: true }),
          '--session',
          'cli:t:main',
        ],
        { home },
      )
    // Nothing tells when it has begun to follow.
    let warmedUp = 0
    while (!followed.includes('said')) t.equal((await say(`warm${warmedUp++}`)).code, 0)
    t.equal((await say('now')).code, 0)
    t.equal((await runCli(['gateway', 'restart'], { home })).code, 0)
    await until(() => followed.includes('gateway restarted'))
    const closed = once(following, 'close')
    following.kill('SIGINT')
    t.same(await closed, [0, null])
    t.strictSame(
      messages(followed).filter((text) => text.startsWith('said now')),
      Array.from({ length: 20 }, (_, i) => `said now ${i}`),
      'each line once, in order',
    )
    const files = readdirSync(join(home, 'logs'))
    t.ok(files.filter((name) => /^gateway\.log\.\d+$/.test(name)).length > 1, files.join(' '))
    for (const name of files) {
      const path = join(home, 'logs', name)
      t.equal(statSync(path).mode & 0o777, 0o600, name)
      t.notMatch(readFileSync(path, 'utf8'), SECRET, name)
    }
    t.match(followed, /"password":"\[redacted\]"/)
    t.match(readFileSync(errorLogFile, 'utf8'), 'outside the log')

    process.kill(pid, 'SIGKILL')
    await until(() => !processExists(pid))
    t.match(await runCli(['gateway', 'status'], { home }), {
      code: 3,
      stdout: new RegExp(`process ${pid}, .* has ended without stopping[^]*start --daemon`),
    })

    const again = await startDaemon(t, home)
    t.not(again.pid, pid)
    t.match(await runCli(['gateway', 'stop'], { home }), { code: 0, stdout: /has stopped/ })
    t.notOk(processExists(again.pid))
    t.notOk(existsSync(join(home, 'gateway.pid')))
    const end = await runCli(['gateway', 'logs', '-n', '1'], { home })
    t.match(messages(end.stdout), ['stopped'], 'the last line is there')
  },
)

t.test('a start that fails says the same as in the foreground, with the same exit code', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const taken = String((server.address() as AddressInfo).port)
  const damaged = newHome(t)
  writeFileSync(join(damaged, 'journal.db'), 'this is no database '.repeat(1_000))
  const cases: [what: string, home: string, args: string[], code: number][] = [
    ['a port in use', newHome(t), ['--port', taken], 69],
    ['a damaged journal', damaged, [], 1],
  ]
  for (const [what, home, args, code] of cases) {
    const foreground = await runCli(['gateway', 'start', ...args], { home })
    const background = await runCli(['gateway', 'start', '--daemon', ...args], { home })
    t.equal(foreground.code, code, what)
    t.match(background, { code, stdout: '', stderr: foreground.stderr }, what)
    t.notOk(existsSync(join(home, 'gateway.pid')), what)
  }
  const wrong = ['--port', 'x']
  const home = newHome(t)
  const { code, stderr } = await runCli(['gateway', 'start', ...wrong], { home })
  t.equal(code, 78)
  const json = await runCli(['gateway', 'start', '--daemon', '--json', ...wrong], { home })
  t.match(json, { code, stderr: '' })
  t.match(JSON.parse(json.stdout), { status: 'failed', pid: null, message: stderr.trimEnd() })
  t.match(await runCli(['gateway', 'start', '--json'], { home: newHome(t) }), {
    code: 64,
    stderr: /--daemon/,
  })
})

t.test('a start that crashes, hangs, or is interrupted leaves no process behind', async (t) => {
  const home = newHome(t)
  const marker = join(home, 'pid')
  writeFileSync(join(home, 'config.yaml'), 'plugins: [{module: ./trouble.mjs}]\n')
  const plugin = (does: string) =>
    writeFileSync(
      join(home, 'trouble.mjs'),
      `import { writeFileSync } from 'node:fs'
      export default async () => { writeFileSync('${marker}', String(process.pid)); ${does} }`,
    )
  const isGone = () => !processExists(Number(readFileSync(marker, 'utf8')))
  const start = (...args: string[]): Promise<RunResult> =>
    runCli(['gateway', 'start', '--daemon', ...args], { home })

  plugin("setImmediate(() => { throw new Error('at https://me:pw@host') }); await new Promise(() => {})")
  const crashed = await start()
  t.match(crashed, { code: 1, stderr: /^Error: at https:\/\/\[redacted\]@host\n +at / })
  t.ok(isGone())

  plugin('process.abort()')
  t.match(await start(), { code: 1, stderr: /ended by SIGABRT before it was ready/ })
  t.ok(isGone())

  plugin('await new Promise((resolve) => setTimeout(resolve, 1500))')
  t.match(await start('--timeout', '1'), { code: 1, stderr: /not ready after 1 s, and was ended/ })
  t.ok(!existsSync(marker) || isGone())

  writeFileSync(marker, '')
  const child = spawnCli(['gateway', 'start', '--daemon'], { home })
  let stderr = ''
  child.stderr.on('data', (text) => {
    stderr += text
  })
  const closed = once(child, 'close')
  await until(() => readFileSync(marker, 'utf8') !== '')
  child.kill('SIGINT')
  t.same(await closed, [1, null])
  t.match(stderr, /^Interrupted/)
  t.ok(isGone())
  t.notOk(existsSync(join(home, 'gateway.pid')))
})

t.test('profiles have state folders of their own, and say who has the port', async (t) => {
  const user = newHome(t)
  const env = { HOME: user, LURKBOT_HOME: '', LURKBOT_GATEWAY__PORT: String(await freePort()) }
  const run = (...args: string[]) => runCli(args, { home: '', env })
  const work = await startDaemon(t, '', ['--profile', 'work'], env)
  t.match(work, { profile: 'work', home: join(user, '.lurkbot-work') })

  const play = await run('gateway', 'start', '--daemon', '--profile', 'play')
  t.equal(play.code, 69)
  t.match(play.stderr, `process ${work.pid} (`)
  t.match(play.stderr, `the gateway of ${work.home}`)
  t.match(play.stderr, 'lurkbot --profile work gateway stop')
  t.match(play.stderr, 'lurkbot --profile play gateway start --port NUMBER')
  t.match(play.stderr, join(user, '.lurkbot-play', 'config.yaml'))

  const byName = await runCli(['gateway', 'status'], { home: '', env: { ...env, LURKBOT_PROFILE: 'work' } })
  t.match(byName, {
    code: 0,
    stdout: new RegExp(`profile +work\n.*state +${work.home}\n.*log +${work.logFile}`),
  })
  t.match(await run('gateway', 'status'), { code: 0, stdout: /not that of the state folder/ })
  t.match(await run('--profile', '../up', 'gateway', 'status'), { code: 64, stderr: /a name of letters/ })
  const both = await runCli(['--profile', 'work', 'gateway', 'status'], { home: user })
  t.match(both, { code: 64, stderr: /LURKBOT_HOME=.*each name a state folder/ })
  t.match(await run('gateway', 'stop', '--profile', 'work'), { code: 0, stdout: /has stopped/ })
})
