import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SystemdNotifier } from '../../src/lifecycle/systemd-notify.js'
import { startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { openNotifySocket } from '../helpers/notify-socket.js'
import { until } from '../helpers/until.js'

t.test('a gateway tells systemd how it is from its start to its end', async (t) => {
  const socket = await openNotifySocket(t)
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  writeFileSync(join(home, 'config.yaml'), 'shutdown: { drainTimeoutMs: 1000, closeTimeoutMs: 2000 }\n')
  const gateway = await startGateway({
    home,
    env: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '200000' },
  })
  t.teardown(() => gateway.kill9())

  t.strictSame(await socket.heard('READY=1'), ['READY=1', `STATUS=Ready at ${gateway.url}`])
  await socket.heard('WATCHDOG=1')
  gateway.signal('SIGHUP')
  t.match(await socket.heard('STATUS=Reads its configuration anew'), ['RELOADING=1', /^MONOTONIC_USEC=\d+$/])
  const count = (line: string) => socket.messages.filter((message) => message.includes(line)).length
  await until(() => count('READY=1') === 2)
  gateway.signal('SIGUSR2')
  await socket.heard('STATUS=Restarts')
  await until(() => count('READY=1') === 3)
  t.match(await gateway.stop(), { code: 0 })
  t.match(await socket.heard('STOPPING=1'), ['STOPPING=1', 'STATUS=Stopping', 'EXTEND_TIMEOUT_USEC=5000000'])
})

t.test('a gateway is none the worse for a manager that is not there', async (t) => {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const env = { NOTIFY_SOCKET: join(home, 'nobody'), WATCHDOG_USEC: '20000' }
  const gateway = await startGateway({ home, env })
  t.teardown(() => gateway.kill9())
  await until(() => gateway.output().includes('systemd-notify failed'))
  t.equal((await fetch(`${gateway.url}/health/ready`)).status, 200)
  t.match(await gateway.stop(), { code: 0 })
})

t.test('its variables are taken out of the environment, for the processes that agents are', async (t) => {
  const env: NodeJS.ProcessEnv = {
    PATH: '/bin',
    NOTIFY_SOCKET: '/run/x',
    WATCHDOG_USEC: '1',
    WATCHDOG_PID: '1',
  }
  t.not(SystemdNotifier.fromEnv(env, t.error), null)
  t.strictSame(env, { PATH: '/bin' })
  t.equal(SystemdNotifier.fromEnv(env, t.error), null, 'and without them there is nobody to tell')
})
