import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../src/doctor/check.js'
import { damageTree } from '../helpers/damage.js'
import { runCli } from '../helpers/gateway-process.js'
import { inspectionsWith } from '../helpers/inspections.js'
import { gateway, newHome } from './running.js'

interface Report {
  readonly ok: boolean
  readonly findings: readonly Finding[]
}

const worst = ({ findings }: Report) => findings.filter(({ severity }) => /error|warning/.test(severity))

t.test('a gateway that is well is found well, running and stopped', async (t) => {
  const home = newHome(t)
  chmodSync(home, 0o700)
  const running = await gateway(t, { home })
  const looked = await runCli(['doctor', '--json'], { home })
  t.equal(looked.code, 0, looked.stdout)
  const report = JSON.parse(looked.stdout) as Report
  t.same(
    worst(report).filter(({ message }) => !/are free for|in memory|layer of/.test(message)),
    [],
  )
  for (const check of ['node', 'port', 'gateway', 'journal', 'clock']) {
    t.ok(
      report.findings.some((finding) => finding.check === check && finding.severity === 'ok'),
      check,
    )
  }
  await running.stop()
  t.match(await runCli(['doctor'], { home }), {
    code: 0,
    stdout:
      /^ok +node [\s\S]*info +gateway +It is not running\.\n +→ lurkbot gateway start\n[\s\S]*\n0 errors, /,
  })
})

t.test(
  'what is wrong is told with its remedy and by the exit code, mended on request, and without secrets',
  async (t) => {
    const home = newHome(t)
    chmodSync(home, 0o700)
    await (await gateway(t, { home })).stop()
    const secret = 'short-secret'
    const config = join(home, 'config.yaml')
    writeFileSync(
      config,
      `auth: {tokens: [${secret}]}\nconnectors: {tg: {type: telegram, tokenEnv: NO_SUCH_TOKEN}}\n`,
    )
    chmodSync(config, 0o644)
    damageTree(join(home, 'journal.db'), 'sessions_recent')
    const bad = await runCli(['doctor'], { home })
    t.match(bad, { code: 1, stderr: '' })
    for (const line of [
      /error +journal +.*\n +→ lurkbot doctor --fix/,
      /warning +tokens +auth\.tokens\[0\] has fewer than 16/,
      /error +tokens +.*has secrets, and others may read it \(mode 644\)/,
      /error +connectors +connectors\.tg: NO_SUCH_TOKEN is not set/,
      /lurkbot doctor --fix {3}mends/,
    ]) {
      t.match(bad.stdout, line)
    }
    t.notMatch(bad.stdout, secret)

    const env = { NO_SUCH_TOKEN: 'x' }
    const mended = await runCli(['doctor', '--fix', '--json'], { home, env })
    t.equal(mended.code, 0, mended.stdout)
    const again = await runCli(['doctor', '--strict', '--json'], { home, env })
    t.equal(again.code, 1, 'warnings count with --strict')
    const report = JSON.parse(again.stdout) as Report
    t.equal(report.ok, false)
    t.ok(worst(report).every(({ severity }) => severity === 'warning'))
  },
)

t.test('a configuration with problems is a finding, and the rest is looked at all the same', async (t) => {
  const home = newHome(t)
  writeFileSync(join(home, 'config.yaml'), 'lanes: {capacty: 1}\n')
  const { code, stdout } = await runCli(['doctor'], { home })
  t.equal(code, 1)
  t.match(stdout, /error +configuration +.*capacty[\s\S]*→ lurkbot config check/)
  t.match(stdout, /ok +node/)
})

t.test('Ctrl-C ends a repair, and leaves the journal as it was', async (t) => {
  const home = newHome(t)
  await (await gateway(t, { home })).stop()
  const path = join(home, 'journal.db')
  damageTree(path, 'sessions_recent')
  const before = readFileSync(path)
  const interrupt = "if (path.endsWith('.part')) { process.kill(process.ppid, 'SIGINT'); hang() }"
  const env = { NODE_OPTIONS: inspectionsWith(t, interrupt) }
  const ended = await runCli(['doctor', '--fix'], { home, env })
  t.match(ended, { code: 1, stdout: '', stderr: /^Interrupted; not everything was looked at\.\n$/ })
  t.ok(readFileSync(path).equals(before))
  t.same(
    readdirSync(home).filter((name) => /part|before/.test(name)),
    [],
  )
})

t.test('it is coloured where that is asked for', async (t) => {
  const home = newHome(t)
  const { stdout } = await runCli(['doctor'], { home, env: { FORCE_COLOR: '1' } })
  t.match(stdout, '\u001b[32mok     \u001b[39m node')
})
