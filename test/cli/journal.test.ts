import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { BackupReport, RestoreReport } from '../../src/journal/backup.js'
import { sessionsHistory, sessionsSend } from '../../src/protocol/index.js'
import { damageTree } from '../helpers/damage.js'
import { runCli } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { connected, gateway, newHome } from './running.js'

t.test('a backup under load, a crash and a restore keep all that was acknowledged before', async (t) => {
  const running = await gateway(t)
  const { home } = running
  const client = await connected(t, running)
  const acknowledged: string[][] = [[], [], []]
  let going = true
  const senders = acknowledged.map(async (list, sender) => {
    while (going) {
      const content = `m${list.length}`
      await client.request(sessionsSend, { content }, { sessionKey: `cli:${sender}:main` })
      list.push(content)
    }
  })
  const over = Promise.allSettled(senders)
  await until(() => acknowledged.every((list) => list.length >= 20))
  const before = acknowledged.map((list) => list.length)
  const file = join(home, 'backup.db')
  const made = await runCli(['journal', 'backup', file, '--json'], { home })
  t.equal(made.code, 0, made.stderr)
  const backup = JSON.parse(made.stdout) as BackupReport
  t.match(backup, { file, facts: { version: 6 } })
  const lastSeen = client.position!
  t.equal(lastSeen.epoch, backup.facts.epoch)
  t.ok(
    acknowledged.every((list, sender) => list.length > before[sender]!),
    'senders were answered all along',
  )
  await running.kill9()
  going = false
  await over

  const restored = await runCli(['journal', 'restore', file, '--json'], { home })
  t.equal(restored.code, 0, restored.stderr)
  const report = JSON.parse(restored.stdout) as RestoreReport
  t.equal(report.facts.seq, backup.facts.seq)
  t.not(report.facts.epoch, backup.facts.epoch)
  t.ok(report.lostPositions! > 0, 'it says how much is lost')

  const again = await gateway(t, { home })
  const reader = await connected(t, again)
  for (const [sender, count] of before.entries()) {
    const sessionKey = `cli:${sender}:main`
    const { messages } = await reader.request(sessionsHistory, { limit: 500 }, { sessionKey })
    const asked = messages.filter(({ role }) => role === 'user').map(({ content }) => content)
    t.ok(asked.length >= count, `${count} were acknowledged before the backup began`)
    t.same(
      asked,
      asked.map((_, n) => `m${n}`),
      'in order, without a gap',
    )
  }
  const socket = new TestSocket(again.wsUrl)
  await socket.opened
  const { resume } = await socket.hello({ resume: lastSeen })
  t.match(resume, { epoch: report.facts.epoch, recovered: false }, 'whoever was further begins anew')
  socket.terminate()
})

t.test('the commands say what they did, and what stands against it', async (t) => {
  const running = await gateway(t)
  const { home } = running
  const client = await connected(t, running)
  await client.request(sessionsSend, { content: 'hi', wait: true }, { sessionKey: 'cli:a:main' })
  const file = join(home, 'backup.db')
  const none = await runCli(['journal', 'check', join(home, 'none.db')], { home })
  t.match(none, { code: 1, stderr: /There is no file/ })
  const made = await runCli(['journal', 'backup', file], { home })
  t.match(made, { code: 0, stdout: /backed up: .*backup\.db\n.*up to position \d+/ })
  const text = readFileSync(file)
  const [twice, busy] = await Promise.all([
    runCli(['journal', 'backup', file], { home }),
    runCli(['journal', 'restore', file], { home }),
  ])
  t.match(twice, { code: 1, stderr: /a file of that name already/ })
  t.ok(readFileSync(file).equals(text))
  t.match(busy, { code: 69, stderr: /runs \(process \d+\)[\s\S]*lurkbot gateway stop/ })
  await running.stop()

  t.match(await runCli(['journal', 'check'], { home }), {
    code: 0,
    stdout: /is whole:.*journal\.db[\s\S]*1 sessions, 1 events \(0 waiting/,
  })
  damageTree(join(home, 'journal.db'), 'entries')
  t.match(await runCli(['journal', 'check'], { home }), {
    code: 1,
    stdout: /has problems[\s\S]*journal restore FILE/,
  })
  t.match(await runCli(['journal', 'restore', file], { home }), {
    code: 0,
    stdout: /is restored[\s\S]*what came after that is gone[\s\S]*is kept: .*\.before-/,
  })
})

t.test(
  'a relative path starts at the folder of the configuration, for the gateway and every command',
  async (t) => {
    const home = newHome(t)
    const folder = newHome(t)
    const configPath = join(folder, 'config.yaml')
    writeFileSync(configPath, 'journal: { path: data/j.db }\n')
    const path = join(folder, 'data/j.db')
    const running = await gateway(t, { home, args: ['--config', configPath] })
    t.ok(existsSync(path))
    await running.stop()
    t.match(await runCli(['journal', 'check', '--config', configPath], { home }), {
      code: 0,
      stdout: new RegExp(`is whole: ${path}`),
    })
    const { stdout } = await runCli(['doctor', '--json', '--config', configPath], { home })
    const { findings } = JSON.parse(stdout) as { findings: { check: string; message: string }[] }
    t.ok(
      findings.some(({ check, message }) => check === 'journal' && message.includes(path)),
      stdout,
    )
  },
)

t.test('a journal in memory has no file', async (t) => {
  const home = newHome(t)
  const env = { LURKBOT_GATEWAY__JOURNAL__TYPE: 'memory' }
  t.match(await runCli(['journal', 'backup', join(home, 'b')], { home, env }), {
    code: 1,
    stderr: /journal\.type is memory/,
  })
})
