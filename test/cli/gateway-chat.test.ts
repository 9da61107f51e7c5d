import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCli, spawnCli, startGateway, temporaryHome } from '../helpers/gateway-process.js'

t.test('in a pipe chat sends each line and prints each answer, in order, then ends', async (t) => {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const gateway = await startGateway({ home, env: { LURKBOT_GATEWAY__LANES__CAPACITY: '20' } })
  t.teardown(() => gateway.kill9())
  const lines = Array.from({ length: 120 }, (_, index) => `message ${index}`)
  const input = `${lines.join('\n')}\n\n`
  const { code, stdout, stderr } = await runCli(['gateway', 'chat', 'cli:t:pipe'], { home, input })
  t.equal(code, 0, stderr)
  t.same(stdout, `${lines.join('\n')}\n`)
})

t.test('a run that fails for good is an error message and exit code 1', async (t) => {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const code = 'export default async () => { throw new Error("secret detail") }'
  const agent = { type: 'module', path: './bad.mjs', retry: { attempts: 1 } }
  writeFileSync(join(home, 'bad.mjs'), code)
  writeFileSync(join(home, 'config.json'), JSON.stringify({ defaultAgent: 'bad', agents: { bad: agent } }))
  const gateway = await startGateway({ home })
  t.teardown(() => gateway.kill9())
  const result = await runCli(['gateway', 'chat'], { home, input: 'hello' })
  t.match(result, { code: 1, stdout: '', stderr: /^[A-Z_]+: / })
  t.notMatch(result.stderr, /secret detail/)
})

t.test('in a pipe chat outlives a killed gateway and goes on when there is one again', async (t) => {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const first = await startGateway({ home })
  t.teardown(() => first.kill9())
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
  const second = await startGateway({ home, args: ['--port', new URL(first.url).port] })
  t.teardown(() => second.kill9())
  chat.stdin.end('after\n')
  t.same(await exited, [0, null])
  t.equal(answers, 'before\nbetween\nafter\n')
})
