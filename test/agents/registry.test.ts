import t, { type Test } from 'tap'
import { AgentRegistry } from '../../src/agents/registry.js'
import { ConfigError } from '../../src/config/problems.js'
import { createTestRun } from '../../src/testing/agent-suite.js'
import { until } from '../helpers/until.js'

function context(t: Test, files: Record<string, string> = {}) {
  return { log: createTestRun().context.log, baseDir: t.testdir(files), env: {} }
}

const answering = (content: string, close?: () => Promise<void>) => ({
  type: 'test',
  run: async () => ({ content }),
  ...(close && { close }),
})

t.test('echo is there with nothing configured', async (t) => {
  const registry = new AgentRegistry()
  await registry.build({}, context(t))
  t.strictSame(registry.names(), ['echo'])
  t.match(registry.get('echo'), { name: 'echo', type: 'echo', agent: { type: 'echo' } })
  t.equal(registry.get('other'), undefined)
})

t.test('echo may be another agent by configuration', async (t) => {
  const registry = new AgentRegistry()
  registry.register('test', () => answering('mine'))
  await registry.build({ echo: { type: 'test' } }, context(t))
  t.strictSame(registry.names(), ['echo'])
  t.equal(registry.get('echo')?.type, 'test')
})

t.test(
  'builds each configured agent with its own options; time limit and retries are the lane’s',
  async (t) => {
    const registry = new AgentRegistry()
    const seen: unknown[] = []
    registry.register('test', async (options, { name }) => {
      seen.push([name, options])
      return answering(name)
    })
    const given = context(t, { 'agent.mjs': `export default async () => 'from a module'` })
    await registry.build(
      {
        one: { type: 'test', colour: 'red', timeoutMs: 5, retry: { attempts: 1 } },
        two: { type: 'test' },
        three: { type: 'module', path: './agent.mjs' },
        four: { type: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'm' },
      },
      given,
    )
    t.strictSame(seen, [
      ['one', { colour: 'red' }],
      ['two', {}],
    ])
    t.strictSame(registry.names(), ['one', 'two', 'three', 'four', 'echo'])
    t.match(registry.get('one'), { timeoutMs: 5, retry: { attempts: 1 } })
    const { event, context: run } = createTestRun({ content: 'hi' })
    t.strictSame(await registry.get('three')?.agent.run(event, run), { content: 'from a module' })
    t.equal(registry.get('four')?.agent.type, 'openai')
  },
)

t.test(
  'reports the problems of all agents at once, with path and source, and closes what began',
  async (t) => {
    const registry = new AgentRegistry()
    let closed = 0
    registry.register('test', () => answering('', async () => void closed++))
    registry.register('broken', () => {
      throw new Error('no luck')
    })
    const sources = new Map([['agents.a.type', 'environment X']])
    const error = await registry
      .build(
        {
          a: { type: 'opnai' },
          b: { type: 'module', path: './missing.mjs' },
          c: { type: 'test' },
          d: { type: 'broken' },
          e: { type: 'openai', model: 3 },
        },
        { ...context(t), sources },
      )
      .then(
        () => undefined,
        (error) => error,
      )
    t.ok(error instanceof ConfigError)
    t.match(error.problems, [
      {
        path: 'agents.a.type',
        source: 'environment X',
        message:
          /expected a known agent type \(echo, module, .*worker, test, broken\), found "opnai"; did you mean 'openai'/,
      },
      { path: 'agents.b.path', message: /no such file/ },
      { path: 'agents.d', message: 'the agent cannot start: no luck' },
      { path: 'agents.e.baseUrl', message: /expected an http or https URL .* found nothing/ },
      { path: 'agents.e.model', message: 'expected text that is not empty, found 3' },
    ])
    t.equal(error.problems.length, 5)
    t.equal(closed, 1)
    t.strictSame(registry.names().includes('a'), false)
  },
)

t.test('a type of a name that is taken, or that comes too late, is refused', async (t) => {
  const registry = new AgentRegistry()
  registry.register('test', () => answering(''))
  t.throws(() => registry.register('test', () => answering('')), /'test' is registered already/)
  t.throws(() => registry.register('echo', () => answering('')), /'echo' is registered already/)
  await registry.build({}, context(t))
  t.throws(() => registry.register('late', () => answering('')), /'late' comes too late/)
  await t.rejects(registry.build({}, context(t)), /built already/)
})

t.test('closes every agent once, whichever fails', async (t) => {
  const registry = new AgentRegistry()
  const closed: string[] = []
  registry.register('test', (_, { name }) =>
    answering('', async () => {
      closed.push(name)
      if (name === 'one') throw new Error('stuck')
    }),
  )
  const { context: run, logged } = createTestRun()
  await registry.build({ one: { type: 'test' }, two: { type: 'test' } }, { ...context(t), log: run.log })
  await registry.close()
  await registry.close()
  t.strictSame(closed, ['one', 'two'])
  t.match(logged, [['error', { agent: 'one' }, 'an agent failed to close']])
})

t.test('makes only those anew that changed; the old one is closed when its last run has ended', async (t) => {
  const registry = new AgentRegistry()
  const made: string[] = []
  const closed: string[] = []
  registry.register('test', ({ mood }, { name }) => {
    const id = `${name} ${mood}`
    made.push(id)
    return answering(id, async () => void closed.push(id))
  })
  const agent = (mood: string) => ({ type: 'test', mood })
  await registry.build({ a: agent('calm'), b: agent('calm'), c: agent('calm') }, context(t))
  made.length = 0
  const told: unknown[] = []
  registry.onBuilt(({ name }, before) => told.push([name, before?.name]))
  const { use } = registry.get('a')!
  use!.begin()

  const next = { b: agent('calm'), a: agent('bright'), d: agent('calm') }
  const prepared = await registry.prepare(next, context(t))
  t.strictSame(made.sort(), ['a bright', 'd calm'])
  t.strictSame(registry.names(), ['a', 'b', 'c', 'echo'], 'nothing of it serves yet')
  prepared.apply()
  t.strictSame(registry.names(), ['b', 'a', 'd', 'echo'])
  t.strictSame(told.sort(), [
    ['a', 'a'],
    ['d', undefined],
  ])
  await until(() => closed.length === 1)
  t.strictSame(closed, ['c calm'])
  use!.end()
  await until(() => closed.length === 2)
  t.strictSame(closed, ['c calm', 'a calm'])

  const unused = await registry.prepare({ ...next, a: agent('sad') }, context(t))
  await unused.discard()
  t.strictSame(closed.slice(2), ['a sad'])
  await t.rejects(registry.prepare({ a: { type: 'none' } }, context(t)), ConfigError)
  t.match(await registry.get('a')!.agent.run({} as never, {} as never), { content: 'a bright' })
  await registry.close()
  t.strictSame(closed.slice(3).sort(), ['a bright', 'b calm', 'd calm'])
})
