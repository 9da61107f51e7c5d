import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { EXIT } from '../../../src/cli/exit-codes.js'
import { startUserManager } from '../../helpers/user-manager.js'

const UNIT = 'lurkbot-gateway.service'

const manager = await startUserManager(t)
const { lurkbot, systemctl, show, configHome, userHome } = manager
const home = join(userHome, '.lurkbot')
const unitFile = join(configHome, 'systemd/user', UNIT)
const json = (text: string) => JSON.parse(text) as Record<string, unknown>
const mainPid = () => Number(show(UNIT, 'MainPID'))
/** Asking takes a process each time. */
const until = async (condition: () => boolean) => {
  while (!condition()) await sleep(100)
}
const isActive = () => show(UNIT, 'ActiveState') === 'active'

mkdirSync(home, { mode: 0o700 })
writeFileSync(join(home, 'environment'), 'LURKBOT_GATEWAY__PORT=0\n', { mode: 0o600 })

t.test('install makes a service that runs and is ready, and says where', async (t) => {
  const { code, stdout, stderr } = lurkbot(['daemon', 'install'], { LURKBOT_GATEWAY__LANES__CAPACITY: '7' })
  t.equal(code, EXIT.OK, stderr)
  t.match(stdout, `The systemd user unit ${UNIT} is installed and runs.`)
  t.match(stdout, unitFile)
  t.match(stdout, `journalctl --user -u ${UNIT} -f`)
  t.match(stderr, 'loginctl enable-linger', 'what it takes to outlive the session')
  t.match(stderr, 'LURKBOT_GATEWAY__LANES__CAPACITY', 'what the service does not have of this shell')
  t.match(stderr, /environment give them to it; then: lurkbot daemon restart$/m)
  t.notMatch(stderr, 'LURKBOT_GATEWAY__PORT', 'what its own environment has is not missing')
  t.match(show(UNIT, 'StatusText'), /^Ready at http:\/\/127\.0\.0\.1:\d+$/)
  t.equal(show(UNIT, 'UnitFileState'), 'enabled')
  const record = json(readFileSync(join(home, 'gateway.pid'), 'utf8'))
  t.equal(mainPid(), record.pid, 'the process of the unit is the gateway itself')
  t.match(stdout, String(record.url))
})

t.test('status tells of the service and the gateway', async (t) => {
  const { code, stdout } = lurkbot(['daemon', 'status'])
  t.equal(code, EXIT.OK)
  t.match(stdout, `The systemd user unit ${UNIT} runs.`)
  t.match(stdout, 'The gateway is running.')
  const report = json(lurkbot(['daemon', 'status', '--json']).stdout)
  t.match(report, { installed: true, enabled: true, state: 'running', pid: mainPid(), path: unitFile })
  t.match(report.gateway, { status: 'running' })
})

t.test(
  'a second install leaves alone what is as it should be, and brings up to date what is not',
  async (t) => {
    const pid = mainPid()
    t.match(json(lurkbot(['daemon', 'install', '--json']).stdout), { installed: 'unchanged', pid })
    writeFileSync(join(home, 'config.yaml'), 'shutdown: { drainTimeoutMs: 60000 }\n')
    const updated = json(lurkbot(['daemon', 'install', '--json']).stdout)
    t.match(updated, { installed: 'updated' })
    t.not(updated.pid, pid)
    t.equal(show(UNIT, 'TimeoutStopUSec'), '1min 17s', 'a stop has the time that the configuration gives it')
  },
)

t.test('a reload reads the configuration anew, and the service goes on', async (t) => {
  const pid = mainPid()
  t.equal(systemctl('reload', UNIT).code, 0)
  await until(() => isActive() && show(UNIT, 'StatusText').startsWith('Ready'))
  t.equal(mainPid(), pid)
})

t.test('a gateway that hangs or is killed is started again', async (t) => {
  const dropIn = `${unitFile}.d`
  mkdirSync(dropIn)
  writeFileSync(join(dropIn, 'test.conf'), '[Service]\nWatchdogSec=3s\nRestartSec=10ms\n')
  t.equal(systemctl('daemon-reload').code, 0)
  t.equal(lurkbot(['daemon', 'restart']).code, EXIT.OK)
  for (const signal of ['STOP', 'KILL']) {
    const before = mainPid()
    t.equal(manager.run('sh', ['-c', `kill -${signal} ${before}`]).code, 0)
    await until(() => mainPid() !== before && isActive())
    t.pass(`after SIG${signal}`)
  }
  rmSync(dropIn, { recursive: true })
  t.equal(systemctl('daemon-reload').code, 0)
})

t.test('a configuration with problems ends it, and it is not tried again', async (t) => {
  writeFileSync(join(home, 'config.yaml'), 'lanes: { capacity: none }\n')
  const { code, stderr } = lurkbot(['daemon', 'restart'])
  t.equal(code, EXIT.CONFIG)
  t.match(stderr, 'lurkbot config check')
  t.equal(show(UNIT, 'ActiveState'), 'failed')
  t.equal(show(UNIT, 'NRestarts'), '0')
  t.equal(lurkbot(['daemon', 'status']).code, EXIT.NOT_RUNNING)
  const install = lurkbot(['daemon', 'install'])
  t.equal(install.code, EXIT.CONFIG)
  t.match(install.stderr, 'lanes.capacity')
  writeFileSync(join(home, 'config.yaml'), '')
  t.equal(lurkbot(['daemon', 'start']).code, EXIT.OK)
})

t.test('a stop is one in order, and the service stays stopped', async (t) => {
  const { code, stdout } = lurkbot(['daemon', 'stop'])
  t.equal(code, EXIT.OK)
  t.match(stdout, 'has stopped')
  t.equal(show(UNIT, 'Result'), 'success')
  t.equal(show(UNIT, 'ExecMainStatus'), '0')
  t.equal(show(UNIT, 'ActiveState'), 'inactive')
  t.notOk(existsSync(join(home, 'gateway.pid')))
  t.equal(lurkbot(['daemon', 'status']).code, EXIT.NOT_RUNNING)
})

t.test('the service of another state folder is neither ended nor taken over', async (t) => {
  t.equal(lurkbot(['daemon', 'start']).code, EXIT.OK)
  const unit = readFileSync(unitFile, 'utf8')
  const pid = mainPid()
  const other = join(userHome, 'other')
  for (const command of ['install', 'stop', 'start', 'restart', 'uninstall']) {
    const { code, stderr } = lurkbot(['daemon', command], { LURKBOT_HOME: other })
    t.equal(code, EXIT.UNAVAILABLE, command)
    t.match(stderr, `LURKBOT_HOME='${home}' lurkbot daemon ${command}`)
  }
  t.equal(mainPid(), pid)
  t.equal(readFileSync(unitFile, 'utf8'), unit)
  t.notOk(existsSync(other))
})

t.test(
  'a service that cannot start and is tried again gives its exit code, and can be stopped',
  async (t) => {
    const other = { LURKBOT_HOME: join(userHome, 'other'), LURKBOT_GATEWAY__PORT: '0' }
    const { url } = json(lurkbot(['gateway', 'start', '--daemon', '--json'], other).stdout)
    const dropIn = `${unitFile}.d`
    mkdirSync(dropIn)
    const port = new URL(String(url)).port
    const lines = [
      '[Service]',
      'RestartSteps=0',
      'RestartSec=10min',
      `Environment=LURKBOT_GATEWAY__PORT=${port}`,
    ]
    writeFileSync(join(dropIn, 'test.conf'), `${lines.join('\n')}\n`)
    const environment = readFileSync(join(home, 'environment'))
    rmSync(join(home, 'environment'))
    t.equal(systemctl('daemon-reload').code, 0)
    const { code, stderr } = lurkbot(['daemon', 'restart'])
    t.equal(show(UNIT, 'SubState'), 'auto-restart')
    t.equal(code, EXIT.UNAVAILABLE, stderr)
    t.equal(lurkbot(['daemon', 'stop']).code, EXIT.OK)
    t.equal(show(UNIT, 'SubState'), 'dead')
    t.equal(lurkbot(['gateway', 'stop'], other).code, EXIT.OK)
    rmSync(dropIn, { recursive: true })
    writeFileSync(join(home, 'environment'), environment)
    t.equal(systemctl('daemon-reload').code, 0)
  },
)

t.test('a gateway of the state folder that is not the service is left alone', async (t) => {
  t.equal(lurkbot(['gateway', 'start', '--daemon'], { LURKBOT_GATEWAY__PORT: '0' }).code, EXIT.OK)
  for (const command of ['start', 'restart']) {
    const { code, stderr } = lurkbot(['daemon', command])
    t.equal(code, EXIT.UNAVAILABLE, command)
    t.match(stderr, 'lurkbot gateway stop')
    t.match(stderr, `lurkbot daemon ${command}`)
  }
  t.equal(lurkbot(['daemon', 'stop']).code, EXIT.OK, 'which does not wait for it')
  t.equal(lurkbot(['gateway', 'status']).code, EXIT.OK)
  t.equal(lurkbot(['gateway', 'stop']).code, EXIT.OK)
})

t.test('uninstall leaves nothing but the state folder, which it names', async (t) => {
  t.equal(lurkbot(['daemon', 'start']).code, EXIT.OK)
  const { code, stdout } = lurkbot(['daemon', 'uninstall'])
  t.equal(code, EXIT.OK)
  t.match(stdout, unitFile)
  t.match(stdout, `left      ${home}`)
  t.strictSame(existsSync(configHome) ? readdirSync(configHome) : [], [])
  t.equal(show(UNIT, 'LoadState'), 'not-found')
  t.equal(show(UNIT, 'ActiveState'), 'inactive')
  t.notOk(existsSync(join(home, 'gateway.pid')))
  t.match(lurkbot(['daemon', 'uninstall']).stdout, 'There was no systemd user unit')
  const start = lurkbot(['daemon', 'start'])
  t.equal(start.code, EXIT.FAILED)
  t.match(start.stderr, 'lurkbot daemon install')
})
