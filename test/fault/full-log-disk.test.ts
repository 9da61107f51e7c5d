import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { sessionsSend } from '../../src/protocol/index.js'
import { connected, gateway, newHome } from '../cli/running.js'
import { until } from '../helpers/until.js'

/** Needs root. */
const SIZE_BYTES = 256 * 1024

t.test(
  'while the disk of the log is full the gateway answers, says so once, and logs on when there is room',
  async (t) => {
    const home = newHome(t)
    const logs = join(home, 'logs')
    mkdirSync(logs)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_BYTES}`, 'tmpfs', logs])
    t.teardown(() => execFileSync('umount', ['-l', logs]))
    writeFileSync(
      join(home, 'talker.mjs'),
      "export default (_, { log }) => { for (let i = 0; i < 20; i++) log.info({ text: 'x'.repeat(200) }, 'said'); return 'done' }",
    )
    writeFileSync(
      join(home, 'config.yaml'),
      `agents: {talker: {type: module, path: ./talker.mjs}}
defaultAgent: talker
log: {file: {enabled: true, maxPendingBytes: 8192}}
`,
    )
    const running = await gateway(t, { home })
    const client = await connected(t, running)
    const say = () => client.request(sessionsSend, { content: 'x', wait: true }, { sessionKey: 'a:b' })
    const lost = async () => {
      const text = await (await fetch(`${running.url}/metrics`)).text()
      return Number(/^gateway_log_lines_lost_total (\d+)$/m.exec(text)?.[1])
    }
    const lines = () => readFileSync(join(logs, 'gateway.log'), 'utf8').split('\n').filter(Boolean).map(parse)

    const ballast = join(logs, 'ballast')
    t.throws(
      () => execFileSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1k'], { stdio: 'ignore' }),
      'full',
    )
    t.equal(await lost(), 0)
    while ((await lost()) === 0) t.equal((await say()).outcome?.status, 'completed')
    const complaints = () => running.output().match(/The log file .* cannot be written: ENOSPC/g) ?? []
    t.equal(complaints().length, 1)
    t.equal((await fetch(`${running.url}/health/ready`)).status, 200)

    rmSync(ballast)
    await until(() => lines().some((line) => (line.lost ?? 0) > 0))
    t.equal((await say()).outcome?.status, 'completed')
    t.same(await running.stop(), { code: 0, signal: null })
    t.equal(lines().at(-1)?.msg, 'stopped')
    t.equal(complaints().length, 1)
  },
)

/** The line during which the disk filled up is torn. */
function parse(line: string): { lost?: number; msg?: string } {
  try {
    return JSON.parse(line)
  } catch {
    return {}
  }
}
