import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pathOf } from '../../src/cli/completion/candidates.js'
import { createProgram } from '../../src/cli/program.js'
import type { Contract } from '../../src/protocol/contract.js'
import { cronAdd, cronList, cronRemove, cronRun, cronRuns } from '../../src/protocol/methods/cron.js'
import { tokensList, tokensNew, tokensRevoke, tokensRotate } from '../../src/protocol/methods/tokens.js'
import { compileValidator } from '../../src/protocol/validation.js'
import { type GatewayProcess, runCli, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { runInProcess } from './in-process.js'

const AGENTS = `export default async ({ payload }) => {
  if (payload.content === 'fail') throw new Error('secret')
  return payload.content
}`

const { home, remove } = temporaryHome()
let gateway: GatewayProcess
t.before(async () => {
  writeFileSync(join(home, 'agent.mjs'), AGENTS)
  const agent = { type: 'module', path: './agent.mjs', retry: { attempts: 1 } }
  writeFileSync(join(home, 'config.json'), JSON.stringify({ defaultAgent: 'a', agents: { a: agent } }))
  gateway = await startGateway({ home })
})
t.teardown(async () => {
  await gateway.kill9()
  remove()
})

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runInProcess([...args, '--json'], { home })
  t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  return JSON.parse(stdout)
}

t.test('what mirrors a method prints the result of that method', async (t) => {
  const daily = ['--cron', '0 9 * * *', '--message', 'hello']
  const cases: [string[], Contract][] = [
    [['token', 'new', 'ci'], tokensNew],
    [['token', 'rotate', 'ci'], tokensRotate],
    [['token', 'list'], tokensList],
    [['token', 'revoke', 'ci'], tokensRevoke],
    [['cron', 'add', 'daily', ...daily], cronAdd],
    [['cron', 'list'], cronList],
    [['cron', 'run', 'daily'], cronRun],
    [['cron', 'runs', 'daily'], cronRuns],
    [['cron', 'remove', 'daily'], cronRemove],
  ]
  for (const [args, contract] of cases) {
    const result = await json(...args)
    t.doesNotThrow(() => compileValidator(contract.result, contract.name)(result), args.join(' '))
  }
})

t.test('the others say what they found', async (t) => {
  t.match(await json('gateway', 'call', 'gateway.ping'), { pong: true })
  t.match(await json('gateway', 'status'), {
    status: 'running',
    health: { status: 'ok' },
    info: { protocol: 1 },
  })
  t.match(await json('config', 'check'), { valid: true, problems: [] })
  t.match(await json('config', 'show'), { config: { defaultAgent: 'a' }, sources: Object })
  t.match(await json('config', 'schema'), { properties: Object })
})

t.test('chat prints a line for each run, as it ends', async (t) => {
  const input = 'one\nfail\nthree\n'
  const { code, stdout, stderr } = await runCli(['gateway', 'chat', 'cli:t:json', '--json'], { home, input })
  t.equal(code, 1, stderr)
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(lines, [
    {
      sessionKey: 'cli:t:json',
      runId: /^run_/,
      outcome: 'completed',
      content: 'one',
      agent: 'a',
      error: null,
    },
    { outcome: 'failed', content: null, error: { code: /^[A-Z_]+$/, retryable: Boolean } },
    { outcome: 'completed', content: 'three' },
  ])
  t.equal(lines.length, 3)
  t.notMatch(stdout, /secret/)
})

t.test('a configuration with problems is told with each of them', async (t) => {
  const env = { LURKBOT_GATEWAY__PORT: '99999', LURKBOT_GATEWAY__LANES__CAPACITY: 'many' }
  const shown = await runInProcess(['config', 'show', '--json'], { home, env })
  t.equal(shown.code, 78)
  const { error } = JSON.parse(shown.stderr)
  t.match(error, {
    code: 'CONFIG',
    message: /port/,
    problems: [{ path: 'port' }, { path: 'lanes.capacity' }],
  })
})

/** What is read by people, or runs on. */
const WITHOUT = ['gateway start', 'completion', 'complete']

t.test('every command that a script may read has --json', async (t) => {
  const visit = (command = createProgram()): void => {
    if (command.commands.length > 0) command.commands.forEach(visit)
    else if (!WITHOUT.includes(pathOf(command))) {
      t.ok(
        command.options.some(({ long }) => long === '--json'),
        pathOf(command),
      )
    }
  }
  visit()
})

t.test('stop says what it stopped, and that there was nothing to stop', async (t) => {
  t.same(await json('gateway', 'stop'), { status: 'stopped', pid: gateway.pid })
  t.same(await json('gateway', 'stop'), { status: 'not-running', pid: null })
  const restart = await runInProcess(['gateway', 'restart', '--json'], { home })
  t.match(restart, { code: 3 })
  t.match(JSON.parse(restart.stdout), { status: 'stopped' })
})
