import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LaunchdService } from '../../../src/cli/daemon/launchd.js'
import { EXIT } from '../../../src/cli/exit-codes.js'
import { recorder, userHome } from './recorded.js'

const PLAN = { stopTimeoutMs: 41_000, writable: [] }
const LABEL = 'lurkbot.gateway'
const PARSE = 'import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))'

/** A launchd that has loaded the agent or not, and runs it or not. */
function setUp(t: Test, profile: string | null = null) {
  const user = userHome(t)
  const home = join(user, '.lurkbot <&>')
  const state = { loaded: false, running: false, lastCode: '0' }
  const { run, calls } = recorder((command) => {
    const [, verb, target = ''] = command.split(' ')
    if (verb === 'bootstrap') Object.assign(state, { loaded: true, running: true })
    if (verb === 'kickstart') state.running = true
    if (verb === 'bootout') Object.assign(state, { loaded: false, running: false })
    if (verb !== 'print' || target === 'gui/501') return {}
    if (!state.loaded) return { code: 113, stderr: 'Could not find service' }
    const pid = state.running ? '\tpid = 4711\n' : ''
    return { stdout: `${target} = {\n\tstate = x\n${pid}\tlast exit code = ${state.lastCode}\n}\n` }
  })
  const place = {
    profile,
    home,
    node: '/opt/node',
    program: '/opt/main.js',
    environmentFile: join(user, 'environment'),
  }
  const service = new LaunchdService(place, { run, uid: 501, ended: async () => {} })
  /** What was asked since, but for questions. */
  const asked = () => calls.splice(0).filter((call) => !call.startsWith('launchctl print'))
  return { user, home, place, service, state, asked }
}

t.test('its property list says what to run, when, and for how long a stop may take', async (t) => {
  const { service, home, user, place } = setUp(t)
  const parse = async () =>
    JSON.parse(
      execFileSync('python3', ['-c', PARSE], { input: await service.definition(PLAN), encoding: 'utf8' }),
    )
  const plist = await parse()
  t.match(plist, {
    Label: LABEL,
    ProgramArguments: ['/opt/node', '/opt/main.js', 'gateway', 'start', '--detached'],
    EnvironmentVariables: { LURKBOT_HOME: home, PATH: new RegExp(`^${user}/.local/bin:/opt:`) },
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: 10,
    ExitTimeOut: 46,
    Umask: 0o077,
    StandardErrorPath: join(home, 'logs/gateway.err.log'),
  })
  writeFileSync(place.environmentFile, '')
  t.equal((await parse()).ProgramArguments[1], `--env-file=${place.environmentFile}`)
})

t.test('a profile is an agent of its own', async (t) => {
  const { service } = setUp(t, 'work')
  t.equal(service.name, 'lurkbot.gateway.work')
  t.match(await service.definition(PLAN), /<key>LURKBOT_PROFILE<\/key>\s*<string>work<\/string>/)
})

t.test('it is installed, brought up to date, stopped, started and removed with launchctl', async (t) => {
  const { service, user, asked, state } = setUp(t)
  const path = join(user, 'Library/LaunchAgents', `${LABEL}.plist`)
  t.equal(service.path, path)
  t.match(await service.status(), { installed: false, state: 'stopped' })
  await t.rejects(service.start(), { exitCode: EXIT.FAILED, message: /daemon install/ })

  t.equal(await service.install(PLAN), 'installed')
  await service.start()
  t.strictSame(asked(), [`launchctl enable gui/501/${LABEL}`, `launchctl bootstrap gui/501 ${path}`])
  t.match(await service.status(), { installed: true, enabled: true, state: 'running', pid: 4711 })

  t.equal(await service.install(PLAN), 'unchanged')
  t.strictSame(asked(), [`launchctl enable gui/501/${LABEL}`])
  t.equal(await service.install({ ...PLAN, stopTimeoutMs: 1_000 }), 'updated')
  await service.restart()
  t.strictSame(asked(), [
    `launchctl bootout gui/501/${LABEL}`,
    `launchctl enable gui/501/${LABEL}`,
    `launchctl bootstrap gui/501 ${path}`,
  ])

  await service.stop()
  t.match(await service.status(), { enabled: true, state: 'stopped', pid: null })
  await service.stop()
  await service.start()
  t.strictSame(asked(), [`launchctl bootout gui/501/${LABEL}`, `launchctl bootstrap gui/501 ${path}`])

  state.running = false
  await service.start()
  t.strictSame(asked(), [`launchctl kickstart gui/501/${LABEL}`], 'one that has ended by itself')

  Object.assign(state, { running: false, lastCode: '78: EX_CONFIG' })
  t.match(await service.status(), { state: 'failed', exitCode: EXIT.CONFIG })

  await service.stop()
  t.match(await service.status(), { state: 'stopped' })
  t.strictSame(asked(), [`launchctl bootout gui/501/${LABEL}`], 'so that launchd does not start it again')
  await service.start()
  asked()

  t.strictSame(await service.uninstall(), [path])
  t.strictSame(asked(), [`launchctl bootout gui/501/${LABEL}`])
  t.notOk(existsSync(path))
  t.strictSame(await service.uninstall(), [])
})

t.test('it knows which gateway an agent is of', async (t) => {
  const { service, home } = setUp(t)
  t.equal(await service.owner(), null)
  await service.install(PLAN)
  t.strictSame(await service.owner(), { variable: 'LURKBOT_HOME', value: home })
  const work = setUp(t, 'work').service
  await work.install(PLAN)
  t.strictSame(await work.owner(), { variable: 'LURKBOT_PROFILE', value: 'work' })
})

t.test('without a session of the user it says how to run the gateway nevertheless', async (t) => {
  const user = userHome(t)
  const { run } = recorder(() => ({ code: 125, stderr: 'Domain does not support specified action' }))
  const place = {
    profile: null,
    home: user,
    node: '/opt/node',
    program: '/opt/main.js',
    environmentFile: '/none',
  }
  const service = new LaunchdService(place, { run, uid: 501, ended: async () => {} })
  await t.rejects(service.install(PLAN), { exitCode: EXIT.UNAVAILABLE, message: /gateway start --daemon/ })
  t.notOk(existsSync(service.path), 'and leaves nothing behind')
})

t.test('what launchctl says when it fails is told', async (t) => {
  const user = userHome(t)
  const { run } = recorder((command) =>
    command.includes('enable') ? { code: 5, stderr: 'Bootstrap failed: 5: Input/output error' } : {},
  )
  const place = {
    profile: null,
    home: user,
    node: '/opt/node',
    program: '/opt/main.js',
    environmentFile: '/none',
  }
  const service = new LaunchdService(place, { run, uid: 501, ended: async () => {} })
  await t.rejects(service.install(PLAN), { exitCode: EXIT.FAILED, message: /Input\/output error/ })
  t.match(readFileSync(service.path, 'utf8'), LABEL)
})
