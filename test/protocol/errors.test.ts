import t from 'tap'
import { ERROR_CODES, fromErrorShape, GatewayError, toErrorShape } from '../../src/protocol/errors.js'

t.test('what is no GatewayError says nothing of the inside', async (t) => {
  const shape = toErrorShape(new Error('password=hunter2 at /srv/app.js:1'))
  t.equal(shape.code, 'INTERNAL_ERROR')
  t.notMatch(JSON.stringify(shape), /hunter2|app\.js/)
  t.notMatch(JSON.stringify(toErrorShape('a string was thrown')), /string was thrown/)
})

t.test('an error survives the wire', async (t) => {
  const error = new GatewayError('UNAVAILABLE', 'Full.', {
    details: { reason: 'lane_full' },
    retryAfterMs: 250,
  })
  const { code, message, details, retryable, retryAfterMs } = fromErrorShape(
    JSON.parse(JSON.stringify(toErrorShape(error))),
  )
  t.same(
    { code, message, details, retryable, retryAfterMs },
    {
      code: 'UNAVAILABLE',
      message: 'Full.',
      details: { reason: 'lane_full' },
      retryable: true,
      retryAfterMs: 250,
    },
  )
  t.equal(error.statusCode, ERROR_CODES.UNAVAILABLE.status)
})

t.test('a cause stays inside', async (t) => {
  const error = new GatewayError('NOT_FOUND', 'Nothing.', { cause: new Error('secret') })
  t.notMatch(JSON.stringify(toErrorShape(error)), /secret/)
})

t.test(
  'an error of another copy of the package counts, its subclasses only where they are meant',
  async (t) => {
    const copy = (await import(`../../src/protocol/errors.js?copy=${t.name.length}`)) as {
      GatewayError: typeof GatewayError
    }
    const foreign = new copy.GatewayError('FORBIDDEN', 'No.')
    t.not(copy.GatewayError, GatewayError)
    t.ok(foreign instanceof GatewayError)
    t.equal(toErrorShape(foreign).code, 'FORBIDDEN')
    class Special extends GatewayError {}
    t.notOk(foreign instanceof Special)
    t.ok(new Special('FORBIDDEN', 'No.') instanceof Special)
    t.notOk({ code: 'FORBIDDEN' } instanceof GatewayError)
  },
)

t.test('an error arrives whatever its details are, and whatever code someone made up', async (t) => {
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  for (const details of [cycle, 5n, () => {}, { deep: 5n }, undefined]) {
    t.equal(toErrorShape(new GatewayError('CONFLICT', 'no', { details })).details, null)
  }
  t.same(toErrorShape(new GatewayError('CONFLICT', 'no', { details: { a: [1] } })).details, { a: [1] })
  const stranger = Object.assign(new GatewayError('CONFLICT', 'a secret'), { code: 'MADE_UP' })
  t.match(toErrorShape(stranger), { code: 'INTERNAL_ERROR', message: /log/, retryable: false })
})
