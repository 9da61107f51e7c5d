import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import t from 'tap'
import { gatewayEnv, PROGRAM, runCli, spawnCli } from '../helpers/gateway-process.js'
import { until } from '../helpers/until.js'
import { gateway, newHome } from './running.js'

const messages = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).msg as string)

t.test('a gateway without a log file is asked for its log, and followed through a restart', async (t) => {
  const running = await gateway(t)
  const { home } = running
  const last = await runCli(['gateway', 'logs', '-n', '1'], { home })
  t.equal(last.code, 0, last.stderr)
  t.strictSame(messages(last.stdout), ['gateway started'])
  t.match(JSON.parse(last.stdout), { level: 30, time: Number, home })
  const severe = await runCli(['gateway', 'logs', '--level', 'error'], { home })
  t.match(severe, { code: 0, stdout: '' })

  const child = spawnCli(['gateway', 'logs', '-f'], { home })
  t.teardown(() => child.kill('SIGKILL'))
  let followed = ''
  child.stdout.on('data', (text) => {
    followed += text
  })
  await until(() => followed.includes('gateway started'))
  running.signal('SIGUSR2')
  await until(() => followed.includes('gateway restarted'))
  const closed = once(child, 'close')
  child.kill('SIGINT')
  t.same(await closed, [0, null])
  t.strictSame(
    messages(followed).filter((text) => text.startsWith('gateway ')),
    ['gateway started', 'gateway restarted'],
  )
})

t.test('where there is nothing it says so, and what to type', async (t) => {
  const home = newHome(t)
  t.match(await runCli(['gateway', 'logs'], { home }), {
    code: 3,
    stdout: '',
    stderr: /there is no log file .*gateway\.log\.\n.*start --daemon/,
  })
  t.match(await runCli(['gateway', 'logs', '-n', 'x'], { home }), { code: 64, stderr: /a number of lines/ })
  t.match(await runCli(['gateway', 'logs', '--level', 'loud'], { home }), { code: 64, stderr: /debug/ })
})

t.test('a log file that is configured is written in the foreground, and waited for', async (t) => {
  const home = newHome(t)
  const child = spawnCli(['gateway', 'logs', '-f'], { home })
  t.teardown(() => child.kill('SIGKILL'))
  const waiting = once(child.stderr, 'data')
  const first = once(child.stdout, 'data')
  t.match(String(await waiting), /waiting for it/)
  const running = await gateway(t, { home, env: { LURKBOT_GATEWAY__LOG__FILE__ENABLED: 'true' } })
  t.match(String(await first), /"msg":/)
  const closed = once(child, 'close')
  child.stdout.destroy()
  await running.stop()
  t.equal(running.output(), '', 'standard output has none of it')
  t.same(await closed, [0, null], 'it ends quietly when its reader has gone')
})

t.test('on a terminal it is for people, and coloured unless that one is dumb', async (t) => {
  if (process.platform !== 'linux') return t.comment('SKIPPED: elsewhere `script` takes other arguments')
  const { home } = await gateway(t)
  const command = `'${process.execPath}' '${PROGRAM}' gateway logs -n 1`
  const look = async (TERM: string) => {
    const env = gatewayEnv(home, { TERM })
    return (await promisify(execFile)('script', ['-qec', command, '/dev/null'], { env })).stdout
  }
  t.match(await look('xterm'), '\u001b[32mINFO\u001b[39m')
  t.match(await look('dumb'), /\] INFO: gateway started/)
})
