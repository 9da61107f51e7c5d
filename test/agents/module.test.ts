import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { Agent, AgentFactoryContext, HistoryMessage } from '../../src/agents/agent.js'
import { createModuleAgent } from '../../src/agents/module.js'
import { ConfigError } from '../../src/config/problems.js'
import { GatewayError, type JsonObject } from '../../src/protocol/index.js'
import { agentSuite, createTestRun } from '../../src/testing/agent-suite.js'

/** An agent whose module has this source. */
async function agentOf(t: Test, source: string, options?: JsonObject): Promise<Agent> {
  const baseDir = t.testdir({ 'agent.mjs': source })
  return createModuleAgent({ path: './agent.mjs', ...(options && { options }) }, contextOf(baseDir))
}

function contextOf(baseDir: string): AgentFactoryContext {
  return { name: 'mine', baseDir, env: {}, log: createTestRun().context.log }
}

async function problemOf(t: Test, path: string, files: Record<string, string | object> = {}) {
  const baseDir = t.testdir(files as Record<string, string>)
  try {
    await createModuleAgent({ path }, contextOf(baseDir))
  } catch (error) {
    if (error instanceof ConfigError) return { ...error.problems[0]!, count: error.problems.length, baseDir }
    throw error
  }
  throw new Error('the agent started')
}

for (const [kind, streams, source] of [
  [
    'an async function',
    false,
    `export default async ({ payload }) => {
      if (payload.content === 'hang') return new Promise(() => {})
      if (payload.content === 'fail') return 42
      return 'Hello, you!'
    }`,
  ],
  [
    'an async generator',
    true,
    `export default async function* ({ payload }) {
      if (payload.content === 'fail') yield 42
      yield 'Hello'
      if (payload.content === 'hang') await new Promise(() => {})
      yield ', '
      yield 'you!'
    }`,
  ],
] as const) {
  t.test(`${kind} behaves as every agent does`, async (t) => {
    agentSuite(
      (name, body) => t.test(name, () => body()),
      async () => ({
        agent: await agentOf(t, source),
        ask: { content: 'hi', answer: 'Hello, you!', streams },
        hang: 'hang',
        fail: 'fail',
      }),
    )
  })
}

t.test('the function gets the event, and the context of the specification', async (t) => {
  const agent = await agentOf(
    t,
    `export default async (event, context) => {
      context.log.info({ it: 1 }, 'works')
      context.delta('piece')
      return JSON.stringify({
        event, session: context.session.key, history: context.history.map((one) => one.content), options: context.options,
        runId: context.runId, attempt: context.attempt, aborted: context.signal.aborted,
      })
    }`,
    { tone: 'kind' },
  )
  const earlier = { content: 'earlier' } as HistoryMessage
  const { event, context, deltas, logged } = createTestRun({ content: 'now', history: [earlier] })
  const { content } = await agent.run(event, context)
  t.strictSame(JSON.parse(content), {
    event,
    session: 'test:1:main',
    history: ['earlier'],
    options: { tone: 'kind' },
    runId: 'run-1',
    attempt: 1,
    aborted: false,
  })
  t.strictSame(deltas, ['piece'])
  t.strictSame(logged, [['info', { it: 1 }, 'works']])
})

t.test('what a module may answer', async (t) => {
  const usage = { tokens: 7 }
  const cases: [name: string, source: string, reply: object, deltas: string[]][] = [
    ['a text, not awaited', `export default () => 'yes'`, { content: 'yes' }, []],
    ['nothing', 'export default async () => {}', { content: '' }, []],
    [
      'an object',
      `export default async () => ({ content: 'yes', metadata: { mood: 'good' }, usage: { tokens: 7 } })`,
      { content: 'yes', metadata: { mood: 'good' }, usage },
      [],
    ],
    [
      'a generator’s own final text',
      `export default async function* () { yield 'dr'; yield ''; yield 'aft'; return 'final' }`,
      { content: 'final' },
      ['dr', 'aft'],
    ],
    [
      'a generator’s deltas with a usage at their end',
      `export default async function* () { yield 'a'; yield 'b'; return { usage: { tokens: 7 } } }`,
      { content: 'ab', usage },
      ['a', 'b'],
    ],
    [
      'an iterable that an async function returns',
      `export default async () => (async function* () { yield 'a' })()`,
      { content: 'a' },
      ['a'],
    ],
    ['a generator that yields nothing', 'export default async function* () {}', { content: '' }, []],
  ]
  for (const [name, source, reply, expected] of cases) {
    await t.test(name, async (t) => {
      const { event, context, deltas } = createTestRun({ content: 'hi' })
      const { content, metadata, usage } = await (await agentOf(t, source)).run(event, context)
      t.strictSame(JSON.parse(JSON.stringify({ content, metadata, usage })), reply)
      t.strictSame(deltas, expected)
    })
  }
})

t.test('a wrong answer fails for good, and says what was expected', async (t) => {
  const cases: [source: string, message: RegExp][] = [
    ['export default async () => 42', /returned a number; expected text, or \{content/],
    ['export default async () => null', /returned null; expected text/],
    ['export default async () => ["a"]', /returned an array; expected text/],
    ['export default async () => ({ text: "a" })', /returned as `content` undefined; expected text/],
    [
      'export default async () => ({ content: "a", usage: 3 })',
      /returned as `usage` a number; expected an object/,
    ],
    ['export default async function* () { yield {} }', /yielded an object; expected text/],
    ['export default async function* () { return 1 }', /returned a number; expected text/],
  ]
  for (const [source, message] of cases) {
    await t.test(source, async (t) => {
      const { event, context } = createTestRun({ content: 'hi' })
      const run = (await agentOf(t, source)).run(event, context)
      await t.rejects(run, { name: 'GatewayError', code: 'INTERNAL_ERROR', retryable: false, message })
    })
  }
})

t.test('what a module throws goes on as it is', async (t) => {
  for (const source of [
    `export default () => { throw new RangeError('odd') }`,
    `export default async () => { throw new RangeError('odd') }`,
    `export default async function* () { yield 'a'; throw new RangeError('odd') }`,
  ]) {
    const { event, context } = createTestRun({ content: 'hi' })
    await t.rejects((await agentOf(t, source)).run(event, context), new RangeError('odd'), source)
  }
})

t.test('stopping a run', async (t) => {
  t.test('lets a generator clean up', async (t) => {
    const control = new AbortController()
    const cleanedUp = once(process, 'test:cleaned-up')
    const source = `export default async function* (event, { signal }) {
      try {
        yield 'begun'
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        yield 'late'
      } finally {
        process.emit('test:cleaned-up')
      }
    }`
    const { event, context, deltas } = createTestRun({
      content: 'hi',
      signal: control.signal,
      onDelta: () => setImmediate(() => control.abort()),
    })
    await t.rejects((await agentOf(t, source)).run(event, context), { code: 'CANCELLED' })
    await cleanedUp
    t.strictSame(deltas, ['begun'])
  })

  t.test('does not wait for a generator that hangs in its cleanup, nor for its failure there', async (t) => {
    for (const cleanup of ['await new Promise(() => {})', `throw new Error('in cleanup')`]) {
      const control = new AbortController()
      const source = `export default async function* () { try { yield 'a'; yield 'b' } finally { ${cleanup} } }`
      const { event, context } = createTestRun({
        content: 'hi',
        signal: control.signal,
        onDelta: () => control.abort(),
      })
      await t.rejects((await agentOf(t, source)).run(event, context), { code: 'CANCELLED' }, cleanup)
    }
  })

  t.test('is told in the words of who stopped it, whatever the module rejects with', async (t) => {
    const control = new AbortController()
    const source = `export default (event, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('my own words'))))`
    const { event, context } = createTestRun({ content: 'hi', signal: control.signal })
    const run = (await agentOf(t, source)).run(event, context)
    const reason = new GatewayError('AGENT_TIMEOUT', 'Too long.')
    setImmediate(() => control.abort(reason))
    await t.rejects(run, reason)
  })

  t.test('works while the history is read', async (t) => {
    const control = new AbortController()
    const { event, context } = createTestRun({ content: 'hi', signal: control.signal })
    const run = (await agentOf(t, `export default () => 'never asked'`)).run(event, {
      ...context,
      history: () => new Promise(() => {}),
    })
    setImmediate(() => control.abort())
    await t.rejects(run, { code: 'CANCELLED' })
  })
})

t.test('a module that cannot serve fails the start with option, file and what was expected', async (t) => {
  const cases: [name: string, files: Record<string, string | object>, message: RegExp][] = [
    ['a missing file', {}, /expected an ES module .* found no such file/],
    ['a folder', { 'agent.mjs': { 'x.txt': '' } }, /expected an ES module .* found no file/],
    [
      'a syntax error',
      { 'agent.mjs': 'export default async (' },
      /loading it failed: SyntaxError: .*; run it with `node` to see where/,
    ],
    ['an error while it loads', { 'agent.mjs': 'throw new Error("boom")' }, /loading it failed: Error: boom/],
    ['a missing import', { 'agent.mjs': `import './other.mjs'` }, /loading it failed: .*other\.mjs/],
    ['no default export', { 'agent.mjs': 'export const answer = 1' }, /found no default export/],
    ['no function', { 'agent.mjs': `export default 'hello'` }, /found a string as default export/],
  ]
  for (const [name, files, message] of cases) {
    await t.test(name, async (t) => {
      const problem = await problemOf(t, './agent.mjs', files)
      t.equal(problem.path, 'path')
      t.equal(problem.count, 1)
      t.match(problem.message, message)
      t.ok(problem.message.includes(`${problem.baseDir}/agent.mjs`), problem.message)
    })
  }
})

t.test('wrong options are named', async (t) => {
  const start = createModuleAgent({ path: '', pth: 'x', options: 3 }, contextOf('/'))
  const error: ConfigError = await start.then(
    () => t.fail('started'),
    (error) => error,
  )
  t.match(error.problems, [
    { path: 'pth', message: /unknown option; did you mean 'path'\?/ },
    { path: 'path', message: 'expected the path of an ES module, found ""' },
    { path: 'options', message: 'expected keys and values, found 3' },
  ])
})

t.test('an iterator made by hand, with parts that are no promises and a return that throws', async (t) => {
  const agent = await agentOf(
    t,
    `export default ({ payload }) => {
      let n = 0
      return {
        [Symbol.asyncIterator]: () => ({
          next: () => (n++ < 2 ? { done: false, value: 'piece ' } : payload.content === 'bad' ? { done: false, value: 5 } : { done: true }),
          return() { throw new Error('no') },
        }),
      }
    }`,
  )
  const good = createTestRun({ content: 'good' })
  t.match(await agent.run(good.event, good.context), { content: 'piece piece ' })
  const bad = createTestRun({ content: 'bad' })
  await t.rejects(agent.run(bad.event, bad.context), { code: 'INTERNAL_ERROR', message: /yielded a number/ })
})

t.test('a generator that never waits leaves the others their turns, and ends with its signal', async (t) => {
  const agent = await agentOf(t, "export default async function* () { for (;;) yield '' }")
  const control = new AbortController()
  const { event, context } = createTestRun({ content: 'x', signal: control.signal })
  const running = agent.run(event, context)
  setTimeout(() => control.abort(new GatewayError('AGENT_TIMEOUT', 'late')), 10)
  await t.rejects(running, { code: 'AGENT_TIMEOUT' })
})
