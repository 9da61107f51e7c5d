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

const ASKS = `export default async ({ payload }, context) => {
  const options = [
    { id: 'yes', name: 'Delete', kind: 'allow_once' },
    { id: 'no', name: 'Keep', kind: 'reject_once' },
  ]
  context.report({ type: 'reasoning', text: 'Hm.' })
  context.report({ type: 'tool', callId: 'c', status: 'started', title: 'rm drafts' })
  const { optionId } = await context.ask({ title: payload.content, options })
  return 'chosen: ' + optionId
}`

t.test('in a pipe a question is answered by the lines that say so', async (t) => {
  const home = newHome(t)
  writeFileSync(join(home, 'asks.mjs'), ASKS)
  const agents = { asks: { type: 'module', path: './asks.mjs' } }
  writeFileSync(join(home, 'config.json'), JSON.stringify({ defaultAgent: 'asks', agents }))
  await gateway(t, { home })
  const input = 'Delete them?\n/answer 1\nThose too?\n/answer keep\n'
  const { code, stdout, stderr } = await runCli(['gateway', 'chat', 'cli:t:asks', '--reasoning'], {
    home,
    input,
  })
  t.equal(code, 0, stderr)
  t.equal(stdout, 'chosen: yes\nchosen: no\n')
  t.match(stderr, '~ Hm.\n· rm drafts\n? Delete them?\n1. Delete\n2. Keep\n')
  const none = await runCli(['gateway', 'chat', 'cli:t:none'], { home, input: '/answer 1\n' })
  t.match(none, { code: 1, stdout: '', stderr: /NOT_FOUND: Nothing is asked/ })
})

t.test('in a pipe that is kept open a bare number answers what is asked', async (t) => {
  const home = newHome(t)
  writeFileSync(join(home, 'asks.mjs'), ASKS)
  const agents = { asks: { type: 'module', path: './asks.mjs' } }
  writeFileSync(join(home, 'config.json'), JSON.stringify({ defaultAgent: 'asks', agents }))
  await gateway(t, { home })
  const chat = spawnCli(['gateway', 'chat', 'cli:t:open'], { home })
  t.teardown(() => chat.kill('SIGKILL'))
  const exited = once(chat, 'close')
  let shown = ''
  let answers = ''
  chat.stdout.on('data', (text) => {
    answers += text
  })
  const asked = new Promise<void>((resolve) =>
    chat.stderr.on('data', (text) => {
      shown += text
      if (shown.includes('2. Keep')) resolve()
    }),
  )
  chat.stdin.write('Sure?\n')
  await asked
  chat.stdin.end('2\n')
  t.same(await exited, [0, null])
  t.equal(answers, 'chosen: no\n')
  t.notMatch(shown, /~ Hm/)
})
