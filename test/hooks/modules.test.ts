import { rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ConfigError } from '../../src/config/problems.js'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { until } from '../helpers/until.js'

const KEY = 'web:1:main'

const FILTER = `---
name: filter
description: Keeps swearing out.
events: [message:received]
priority: 1
---

# Filter
`

const FILTER_MODULE = `
export default async function filter({ event }, { log, signal }) {
  if (event.payload.content === 'damn') throw new Error('no swearing')
  if (event.payload.content === 'hang') await new Promise(() => {})
  event.payload.content += '!'
}
`

const noted = (note: string, events = "['agent:completed', 'session:*']") => `
export const metadata = { description: 'Takes notes.', events: ${events} }
export default (event) => { (globalThis.__notes ??= []).push(${JSON.stringify(note)} + ' ' + event.name) }
`

const notes = (): string[] => {
  const global = globalThis as { __notes?: string[] }
  global.__notes ??= []
  return global.__notes
}

t.beforeEach(() => notes().splice(0))

t.test('hook modules of the state folder and of other folders are at work', async (t) => {
  const home = t.testdir({
    hooks: {
      filter: { 'HOOK.md': FILTER, 'handler.mjs': FILTER_MODULE },
      'notes.mjs': noted('own'),
      'README.md': 'not a hook',
      '.git': {},
    },
    'plugin.mjs': `export default async function ours(app) { app.on('gateway:started', () => {}) }`,
    more: { plain: { 'handler.mjs': noted('more', "['agent:completed']") } },
  })
  const { connect, app } = await startScripted(
    t,
    { hooks: { folders: ['more'], timeoutMs: 300 }, plugins: [{ module: './plugin.mjs' }] },
    {
      home,
      onRun: (run) => run.reply(),
      prepare: (app) => app.on('gateway:ready', () => {}, { name: 'mine', priority: 7 }),
    },
  )
  const socket = await connect()
  const { outcome } = await socket.call('sessions.send', { content: 'hello', wait: true }, KEY)
  t.equal(outcome.message.content, 're: hello!')
  t.match(await socket.refused('sessions.send', { content: 'damn' }, KEY), { code: 'FORBIDDEN' })
  t.match(await socket.refused('sessions.send', { content: 'hang' }, KEY), { code: 'UNAVAILABLE' })
  await until(() => notes().length === 3)
  t.same(notes().sort(), ['more agent:completed', 'own agent:completed', 'own session:created'])
  const { hooks, problems } = await socket.call('hooks.list')
  t.same(problems, [])
  t.match(hooks, [
    {
      name: 'filter',
      kind: 'module',
      source: join(home, 'hooks', 'filter', 'handler.mjs'),
      description: 'Keeps swearing out.',
      events: ['message:received'],
      priority: 1,
      calls: 3,
      failures: 1,
      timeouts: 1,
      lastError: { message: /300 ms/ },
    },
    { name: 'mine', kind: 'plugin', priority: 7, calls: 1 },
    { name: 'gateway:started', kind: 'plugin', source: 'ours', events: ['gateway:started'], calls: 1 },
    { name: 'notes', kind: 'module', priority: 100, calls: 2, failures: 0, lastError: null },
    { name: 'plain', kind: 'module', calls: 1 },
  ])
  const { body } = await app.inject('/metrics')
  t.match(body, /gateway_hook_calls_total\{kind="module"\} 6/)
  t.match(body, /gateway_hook_late_total\{kind="module"\} 1/)
  t.match(body, /gateway_hook_failures_total 1/)
})

t.test('a module that cannot be used is left out and told with its file, and the others work', async (t) => {
  const home = t.testdir({
    hooks: {
      'syntax.mjs': 'export default (',
      'throws.mjs': 'throw new Error("at its start")',
      'nothing.mjs': 'export const metadata = { events: ["agent:*"] }',
      'bare.mjs': 'export default () => {}',
      'wrong.mjs':
        'export const metadata = { events: ["agent.*"], priority: "high" }; export default () => {}',
      'unknown.mjs': 'export const metadata = { events: ["agent:finished"] }; export default () => {}',
      'hangs.mjs': 'await new Promise(() => {}); export default () => {}',
      described: {
        'HOOK.md': '---\nname: x\n\nevents:\n  - 5\n---\n',
        'handler.mjs': 'export default () => {}',
      },
      empty: { 'HOOK.md': FILTER },
      'good.mjs': noted('good', "['gateway:ready']"),
      'twice.mjs': `export const metadata = { name: 'good', events: ['gateway:ready'] }; export default () => {}`,
    },
  })
  const { logger, lines } = captureLog()
  const { connect } = await startScripted(
    t,
    { hooks: { folders: ['none'], timeoutMs: 100 } },
    { home, logger },
  )
  const { hooks, problems } = await (await connect()).call('hooks.list')
  t.match(hooks, [{ name: 'good', calls: 1 }])
  t.equal(hooks.length, 1)
  const of = (name: string) =>
    problems.filter(({ source }: { source: string }) => source.includes(name)) as object[]
  t.match(of('syntax.mjs'), [{ message: /^cannot be loaded: SyntaxError: / }])
  t.match(of('throws.mjs'), [{ message: 'cannot be loaded: Error: at its start' }])
  t.match(of('nothing.mjs'), [{ message: /^expected a function as default export/ }])
  t.match(of('bare.mjs'), [
    { path: 'events', message: /^expected a list of internal events .* found nothing/ },
  ])
  t.match(of('wrong.mjs'), [{ path: 'priority', message: /^expected an integer .* found "high"/ }])
  t.match(of('unknown.mjs'), [{ path: 'events', message: /'agent:finished' is no internal event/ }])
  t.match(of('hangs.mjs'), [{ message: /did not end within 100 ms/ }])
  t.match(of('HOOK.md'), [{ path: 'events[0]', source: `${join(home, 'hooks/described/HOOK.md')}:5` }])
  t.match(of('empty'), [{ source: /handler\.mjs$/, message: /ENOENT/ }])
  t.match(of('twice.mjs'), [{ message: /name of its own, found that of .*good\.mjs/ }])
  t.match(of('none'), [{ message: 'expected a folder with hooks, found nothing' }])
  t.equal(problems.length, 11)
  const { problems: logged } = lines.find(({ msg }) => msg === 'hook modules left out')!
  t.equal((logged as string[]).length, 11)
})

t.test('where hooks are strict, one that cannot be used fails the start, naming it', async (t) => {
  const home = t.testdir({ hooks: { 'broken.mjs': 'export default 5' }, 'hooks.yaml': 'hooks: 5\n' })
  const start = startScripted(t, { hooks: { strict: true } }, { home })
  await t.rejects(start, ConfigError)
  await start.catch(({ message }: ConfigError) => t.match(message, /broken\.mjs.*hooks\.yaml:1/s))
})

t.test('hooks.reload loads what is new or changed and lets go of what is gone', async (t) => {
  const home = t.testdir({
    hooks: { 'a.mjs': noted('a1', "['command:reset']"), 'b.mjs': noted('b', "['command:reset']") },
  })
  const { connect } = await startScripted(t, {}, { home })
  const socket = await connect()
  await socket.call('sessions.create', {}, KEY)
  await socket.call('sessions.reset', {}, KEY)
  t.same(notes(), ['a1 command:reset', 'b command:reset'])
  await writeFile(join(home, 'hooks/a.mjs'), noted('a2', "['command:reset']"))
  // Within the same tick of the file system's clock it would be the same file.
  await utimes(join(home, 'hooks/a.mjs'), 1_000, 1_000)
  await rm(join(home, 'hooks/b.mjs'))
  await writeFile(join(home, 'hooks/c.mjs'), noted('c', "['command:reset']"))
  const { hooks, problems } = await socket.call('hooks.reload')
  t.same([hooks.map(({ name }: { name: string }) => name), problems], [['a', 'c'], []])
  notes().splice(0)
  await socket.call('sessions.reset', {}, KEY)
  t.same(notes(), ['a2 command:reset', 'c command:reset'])
})
