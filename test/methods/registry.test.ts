import { Type } from '@sinclair/typebox'
import t from 'tap'
import { MethodRegistry } from '../../src/methods/registry.js'
import { contract } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'

const ping = contract({
  name: 'test.ping',
  summary: 'For this test.',
  scope: 'read',
  params: Type.Object({ n: Type.Optional(Type.Integer()) }),
  result: Type.Object({ n: Type.Integer() }),
})

t.test('a name that is taken, or comes after the start, is refused', (t) => {
  const registry = new MethodRegistry()
  registry.add(ping, () => ({ n: 1 }))
  t.throws(() => registry.add(ping, () => ({ n: 2 })), /'test\.ping' is registered twice/)
  registry.seal()
  t.throws(() => registry.add({ ...ping, name: 'test.other' }, () => ({ n: 1 })), /after start/)
  t.strictSame(registry.names, ['test.ping'])
  t.end()
})

t.test('a name that is no family.verb is refused', (t) => {
  for (const name of ['ping', 'Test.ping', 'test.ping.pong', 'test.', '__proto__', 'test ping']) {
    t.throws(() => contract({ ...ping, name }), /expected family\.verb/, name)
  }
  t.end()
})

t.test('a plugin’s method is published, validated and called like any other', async (t) => {
  const { connect } = await startApp(
    t,
    {},
    { prepare: (app) => app.method(ping, ({ n = 0 }) => ({ n: n + 1 })) },
  )
  const socket = await connect()
  t.ok(socket.helloOk!.features.methods.includes('test.ping'))
  const { methods } = await socket.call('methods.list')
  t.strictSame(
    methods.find(({ name }: { name: string }) => name === 'test.ping'),
    JSON.parse(
      JSON.stringify({
        name: 'test.ping',
        summary: 'For this test.',
        scope: 'read',
        session: 'none',
        params: ping.params,
        result: ping.result,
      }),
    ),
  )
  t.strictSame(await socket.call('test.ping', { n: 1 }), { n: 2 })
  t.match(await socket.refused('test.ping', { n: 'one' }), {
    code: 'INVALID_REQUEST',
    message: 'params.n: expected integer',
    details: { path: 'params.n' },
  })
})

t.test('two plugins with the same method fail the start', async (t) => {
  const twice = startApp(
    t,
    {},
    {
      prepare: (app) => {
        app.method(ping, () => ({ n: 1 }))
        app.method(ping, () => ({ n: 2 }))
      },
    },
  )
  await t.rejects(twice, /registered twice/)
})

t.test('where results are checked, one that breaks its contract is an internal error', async (t) => {
  const { logger, lines } = captureLog()
  const { connect } = await startApp(
    t,
    {},
    {
      logger,
      prepare: (app) => app.method(ping, async () => ({ n: 'no number' }) as unknown as { n: number }),
    },
  )
  const socket = await connect()
  t.match(await socket.refused('test.ping'), { code: 'INTERNAL_ERROR' })
  t.ok(lines.some(({ err }) => /breaks its contract/.test((err as Error | undefined)?.message ?? '')))
})
