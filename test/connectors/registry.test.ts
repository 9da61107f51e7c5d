import t, { type Test } from 'tap'
import { ConfigError } from '../../src/config/problems.js'
import { ConnectorRegistry } from '../../src/connectors/registry.js'
import { connectorContext } from '../helpers/connector-host.js'
import { ScriptedConnector } from '../helpers/scripted-connector.js'

function context(_t: Test) {
  const { log, baseDir, env, maxAttachmentBytes } = connectorContext()
  return { logOf: () => log, baseDir, env, maxAttachmentBytes }
}

t.test('makes each configured connector with the options of its type alone', async (t) => {
  const registry = new ConnectorRegistry()
  const seen: unknown[] = []
  registry.register('test', (options, { name, channel, maxAttachmentBytes }) => {
    seen.push([name, channel, options, maxAttachmentBytes])
    return new ScriptedConnector()
  })
  const entries = await registry.build(
    {
      one: { type: 'test', colour: 'red', enabled: false, preview: false },
      two: { type: 'test', channel: 'other', allow: ['7'], pairing: true, mentions: false },
    },
    context(t),
  )
  t.strictSame(seen, [
    ['one', 'test', { colour: 'red' }, 1_048_576],
    ['two', 'other', {}, 1_048_576],
  ])
  t.match(entries, [
    { name: 'one', type: 'test', channel: 'test', enabled: false, preview: false, typing: true },
    { name: 'two', channel: 'other', enabled: true, preview: true },
  ])
  t.strictSame(
    entries.map(({ access }) => ({ ...access, allow: [...access.allow] })),
    [
      { allow: [], pairing: true, mentions: true },
      { allow: ['7'], pairing: true, mentions: false },
    ],
  )
})

t.test('who may write without an allow-list is what the connector’s trust says', async (t) => {
  const registry = new ConnectorRegistry()
  registry.register('open', () => new ScriptedConnector({ trusted: true }))
  registry.register('test', () => new ScriptedConnector())
  const entries = await registry.build(
    {
      a: { type: 'open' },
      b: { type: 'open', channel: 'b', allow: ['7'] },
      c: { type: 'test' },
      d: { type: 'test', channel: 'd', allow: ['7'] },
    },
    context(t),
  )
  t.strictSame(
    entries.map(({ access }) => [[...access.allow], access.pairing]),
    [
      [['*'], true],
      [['7'], false],
      [[], true],
      [['7'], false],
    ],
  )
})

t.test('reports the problems of all connectors at once, and closes what began', async (t) => {
  const registry = new ConnectorRegistry()
  const made = new ScriptedConnector()
  registry.register('chattering', () => made)
  registry.register('broken', () => {
    throw new Error('no luck')
  })
  registry.register('picky', () => {
    throw new ConfigError([{ path: 'token', message: 'expected a token' }])
  })
  const error = await registry
    .build(
      {
        a: { type: 'chatering' },
        b: { type: 'chattering' },
        c: { type: 'broken' },
        d: { type: 'picky' },
        e: { type: 'chattering' },
      },
      { ...context(t), sources: new Map([['connectors.d.token', 'environment X']]) },
    )
    .then(
      () => undefined,
      (error) => error,
    )
  t.ok(error instanceof ConfigError)
  t.match(error.problems, [
    { path: 'connectors.a.type', message: /found "chatering"; did you mean 'chattering'\?/ },
    { path: 'connectors.c', message: 'the connector cannot start: no luck' },
    { path: 'connectors.d.token', source: 'environment X', message: 'expected a token' },
    {
      path: 'connectors.e.channel',
      message: "expected a channel of its own for 'e', 'chattering' is that of 'b' already",
    },
  ])
  t.equal(error.problems.length, 4)
  t.equal(made.closed, 2)
})

t.test('a type of a name that is none or taken, or that comes too late, is refused', async (t) => {
  const registry = new ConnectorRegistry()
  registry.register('test', () => new ScriptedConnector())
  t.throws(() => registry.register('test', () => new ScriptedConnector()), /registered already/)
  t.throws(() => registry.register('My Type', () => new ScriptedConnector()), /expected letters/)
  await registry.build({}, context(t))
  t.throws(() => registry.register('late', () => new ScriptedConnector()), /'late' comes too late/)
  await t.rejects(registry.build({}, context(t)), /built already/)
})
