import { Type } from '@sinclair/typebox'
import t from 'tap'
import { contract } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'

const define = (name: string) =>
  contract({
    name,
    summary: 'For tests.',
    scope: 'read',
    params: Type.Object({ by: Type.Integer({ minimum: 1 }) }),
    result: Type.Object({ sum: Type.Integer() }),
  })

declare module 'fastify' {
  interface FastifyInstance {
    secretOfTests?: number
  }
}

t.test('the `this` of a handler is the instance of the plugin that added it', async (t) => {
  const { connect, app } = await startApp(
    t,
    {},
    {
      prepare: async (app) => {
        await app.register(async (scope) => {
          scope.decorate('secretOfTests', 40)
          scope.method(define('tests.add'), function ({ by }) {
            return { sum: this.secretOfTests! + by }
          })
        })
      },
    },
  )
  t.equal(app.secretOfTests, undefined, 'its decorators stay its own')
  const socket = await connect()
  t.same(await socket.call('tests.add', { by: 2 }), { sum: 42 })
  t.match(await socket.refused('tests.add', { by: 0 }), {
    code: 'INVALID_REQUEST',
    details: { path: 'params.by' },
  })
  t.ok(socket.helloOk!.features.methods.includes('tests.add'))
  t.match(
    (await socket.call('methods.list')).methods.find(({ name }: { name: string }) => name === 'tests.add'),
    { summary: 'For tests.', scope: 'read', session: 'none', params: { properties: { by: { minimum: 1 } } } },
  )
})

t.test('a contract that is written as a plain object is as good', async (t) => {
  const { connect } = await startApp(
    t,
    {},
    {
      prepare: (app) => {
        const { name, summary, scope, params, result } = define('tests.plain')
        app.method({ name, summary, scope, params, result } as ReturnType<typeof define>, ({ by }) => ({
          sum: by,
        }))
      },
    },
  )
  t.same(await (await connect()).call('tests.plain', { by: 7 }), { sum: 7 })
})

t.test('a name that is taken, or is none, or comes after the start is refused', async (t) => {
  const { app } = await startApp(
    t,
    {},
    {
      prepare: (app) => {
        const handler = () => ({ sum: 0 })
        t.throws(() => app.method(define('gateway.ping'), handler), {
          message: /'gateway\.ping' is registered twice/,
        })
        for (const name of ['ping', 'Tests.add', 'tests.', 'tests.a.b', 'tests add', '']) {
          const bad = { ...define('tests.ok'), name }
          t.throws(() => app.method(bad, handler), { message: /expected family\.verb/ }, JSON.stringify(name))
        }
      },
    },
  )
  t.throws(() => app.method(define('tests.late'), () => ({ sum: 0 })), {
    message: /'tests\.late'.*after start/,
  })
})

t.test(
  'a handler that throws says nothing of the inside; a result that breaks its contract is found in tests',
  async (t) => {
    const { connect } = await startApp(
      t,
      {},
      {
        prepare: (app) => {
          app.method(define('tests.throw'), () => {
            throw new Error('an internal secret')
          })
          app.method(define('tests.wrong'), async () => ({ sum: 'text' }) as never)
        },
      },
    )
    const socket = await connect()
    for (const method of ['tests.throw', 'tests.wrong']) {
      const error = await socket.refused(method, { by: 1 })
      t.match(error, { code: 'INTERNAL_ERROR', details: null, retryable: false }, method)
      t.notMatch(error.message, /secret/)
    }
  },
)
