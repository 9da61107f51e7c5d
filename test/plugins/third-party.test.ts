import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type ConfigOverrides, startApp, temporaryFolder } from '../helpers/app.js'

const TYPEBOX = import.meta.resolve('@sinclair/typebox')

const PLUGIN = `
import { Type } from '${TYPEBOX}'

export default async function myPlugin(app, options) {
  app.decorate('greeting', options.greeting)
  app.method(
    {
      name: 'greetings.greet',
      summary: 'Greets by name.',
      scope: 'read',
      params: Type.Object({ name: Type.String({ minLength: 1 }) }),
      result: Type.Object({ text: Type.String() }),
    },
    function ({ name }) {
      return { text: this.greeting + ', ' + name + '!' }
    },
  )
  app.agent('greeter', (agentOptions, { name }) => ({
    type: 'greeter',
    async run(event, { delta }) {
      delta(options.greeting)
      return { content: [options.greeting, agentOptions.mark, name, event.payload.content].join(' ') }
    },
  }))
  app.on('message:received', ({ event }) => {
    if (event.payload.content === 'spam') throw new Error('no spam')
  })
  app.get('/greetings', async () => ({ greeting: options.greeting }))
}
`

async function start(t: Test, files: Record<string, string>, overrides: ConfigOverrides) {
  const home = await temporaryFolder(t)
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(home, name, '..'), { recursive: true })
    await writeFile(join(home, name), text)
  }
  return startApp(t, overrides, { home })
}

t.test('a plugin of the configuration adds a method, an agent, a hook and a route', async (t) => {
  const { connect, app } = await start(
    t,
    { 'my-plugin.mjs': PLUGIN },
    {
      plugins: [{ module: './my-plugin.mjs', options: { greeting: 'Hello' } }],
      agents: { helper: { type: 'greeter', ...{ mark: '!' } } },
      defaultAgent: 'helper',
    },
  )
  const socket = await connect()
  t.same(await socket.call('greetings.greet', { name: 'Ann' }), { text: 'Hello, Ann!' })
  t.match(await socket.refused('greetings.greet', { name: '' }), { details: { path: 'params.name' } })
  t.ok(socket.helloOk!.features.methods.includes('greetings.greet'))
  t.notOk('greeting' in app, 'its decorators stay its own')
  const { outcome } = await socket.call('sessions.send', { content: 'you', wait: true }, 'web:1')
  t.match(outcome, { status: 'completed', message: { content: 'Hello ! helper you', agent: 'helper' } })
  t.match((await socket.event('agent.delta')).payload, { text: 'Hello' })
  t.match(await socket.refused('sessions.send', { content: 'spam' }, 'web:1'), { code: 'FORBIDDEN' })
  t.same((await app.inject('/greetings')).json(), { greeting: 'Hello' })
})

t.test('a plugin is found by absolute path, and as a package beside the configuration', async (t) => {
  const home = await temporaryFolder(t)
  const plugin = (name: string) =>
    `export default async (app) => { app.get('/${name}', async () => '${name}') }`
  const folder = join(home, 'node_modules', 'lurkbot-plugin-x')
  await mkdir(folder, { recursive: true })
  await writeFile(
    join(folder, 'package.json'),
    '{"name":"lurkbot-plugin-x","type":"module","exports":"./index.js"}',
  )
  await writeFile(join(folder, 'index.js'), plugin('package'))
  await writeFile(join(home, 'absolute.mjs'), plugin('absolute'))
  const plugins = [{ module: join(home, 'absolute.mjs') }, { module: 'lurkbot-plugin-x' }]
  const { app } = await startApp(t, { plugins }, { home })
  for (const name of ['package', 'absolute']) t.equal((await app.inject(`/${name}`)).body, name)
})

const broken: [name: string, text: string | null, message: RegExp][] = [
  ['a module that is not there', null, /expected a module that loads, '\.\/p\.mjs' does not: .*p\.mjs/],
  ['a module that is no JavaScript', 'this is {', /expected a module that loads/],
  ['a module that throws', 'throw new Error("at load")', /does not: at load/],
  [
    'a module without a default export',
    'export const plugin = 1',
    /expected '\.\/p\.mjs' to have a Fastify plugin/,
  ],
  ['a default export that is no function', 'export default {}', /as its default export/],
  [
    'a plugin that throws',
    'export default async () => { throw new Error("no database") }',
    /cannot start: no database/,
  ],
  [
    'a plugin that throws what is no error',
    'export default async () => { throw "text" }',
    /cannot start: .*text/,
  ],
  [
    'a plugin that needs another',
    `export default Object.assign(async () => {}, { [Symbol.for('plugin-meta')]: { name: 'p', dependencies: ['missing'] } })`,
    /cannot start: .*missing/,
  ],
  [
    'a method whose name is taken',
    PLUGIN.replace('greetings.greet', 'gateway.ping'),
    /cannot start: method 'gateway\.ping' is registered twice/,
  ],
  [
    'a method with a bad name',
    PLUGIN.replace('greetings.greet', 'Greet'),
    /cannot start: method name 'Greet': expected family\.verb/,
  ],
  [
    'a method whose schemas are not of TypeBox',
    PLUGIN.replace(/params: Type.*,/, 'params: { type: "object" },'),
    /cannot start: method .greetings\.greet.: params: expected a Type\.Object/,
  ],
  [
    'an agent type that is taken',
    PLUGIN.replace(`'greeter'`, `'echo'`),
    /cannot start: agent type 'echo' is registered already/,
  ],
  [
    'a hook of no event',
    PLUGIN.replace('message:received', 'message:sent'),
    /cannot start: 'message:sent' is no internal event/,
  ],
]

for (const [name, text, message] of broken) {
  t.test(`${name} fails the start, and the message says where and why`, async (t) => {
    const home = await temporaryFolder(t)
    await writeFile(join(home, 'good.mjs'), 'export default async () => {}')
    if (text !== null) await writeFile(join(home, 'p.mjs'), text)
    const config: ConfigOverrides = {
      journal: { type: 'sqlite' },
      plugins: [{ module: './good.mjs' }, { module: './p.mjs', options: { greeting: 'Hi' } }],
    }
    await t.rejects(startApp(t, config, { home }), {
      name: 'ConfigError',
      exitCode: 78,
      problems: [{ path: 'plugins[1].module', message }],
    })
    await startApp(t, { journal: { type: 'sqlite' } }, { home })
    t.pass('nothing was left open: the same state folder serves the next start')
  })
}

const CLOSING = `
export default async (app, { done }) => {
  app.addHook('preClose', (next) => { done('preClose'); next() })
  app.addHook('onClose', async function (instance) { done('onClose', instance === this && 'mark' in instance) })
  app.decorate('mark', 1)
  app.addHook('onClose', (instance, next) => { done('callback', 'mark' in instance); next() })
  app.addHook('onClose', { [Symbol.asyncDispose ?? Symbol.for('x')]: async () => done('dispose') })
}`

t.test('closing hooks of every form that Fastify knows are called, with their instance', async (t) => {
  const called: unknown[][] = []
  const done = (...args: unknown[]) => void called.push(args)
  const { app } = await start(
    t,
    { 'closing.mjs': CLOSING },
    { plugins: [{ module: './closing.mjs', options: { done } }] },
  )
  await app.close()
  t.same(called, [['preClose'], ['dispose'], ['callback', true], ['onClose', true]])
  t.same(app.closing.unfinished, [])
})
