import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCli, spawnCli } from '../helpers/gateway-process.js'
import { gateway, newHome } from './running.js'

t.test('in a pipe chat sends each line and prints each answer, in order, then ends', async (t) => {
  const home = newHome(t)
  await gateway(t, { home, env: { LURKBOT_GATEWAY__LANES__CAPACITY: '20' } })
  const lines = Array.from({ length: 120 }, (_, index) => `message ${index}`)
  const input = `${lines.join('\n')}\n\n`
  const { code, stdout, stderr } = await runCli(['gateway', 'chat', 'cli:t:pipe'], { home, input })
  t.equal(code, 0, stderr)
  t.same(stdout, `${lines.join('\n')}\n`)
})

t.test('a run that fails for good is an error message and exit code 1', async (t) => {
  const home = newHome(t)
  const code = 'export default async () => { throw new Error("secret detail") }'
  const agent = { type: 'module', path: './bad.mjs', retry: { attempts: 1 } }
  writeFileSync(join(home, 'bad.mjs'), code)
  writeFileSync(join(home, 'config.json'), JSON.stringify({ defaultAgent: 'bad', agents: { bad: agent } }))
  await gateway(t, { home })
  const result = await runCli(['gateway', 'chat'], { home, input: 'hello' })
  t.match(result, { code: 1, stdout: '', stderr: /^[A-Z_]+: / })
  t.notMatch(result.stderr, /secret detail/)
})

t.test('in a pipe chat outlives a killed gateway and goes on when there is one again', async (t) => {
  const home = newHome(t)
  const first = await gateway(t, { home })
  const chat = spawnCli(['gateway', 'chat', 'cli:t:restart'], { home })
  t.teardown(() => chat.kill('SIGKILL'))
  const exited = once(chat, 'close')
  let answers = ''
  chat.stdout.on('data', (text) => {
    answers += text
  })
  chat.stdin.write('before\n')
  await once(chat.stdout, 'data')
  await first.kill9()
  await once(chat.stderr, 'data')
  chat.stdin.write('between\n')
  await gateway(t, { home, args: ['--port', new URL(first.url).port] })
  chat.stdin.end('after\n')
  t.same(await exited, [0, null])
  t.equal(answers, 'before\nbetween\nafter\n')
})
