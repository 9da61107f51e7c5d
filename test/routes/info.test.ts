import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { Catalogue, ErrorShape } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'

t.test('GET /methods is the catalogue of methods.list', async (t) => {
  const { url, connect } = await startApp(t)
  const response = await fetch(`${url}/methods`)
  t.equal(response.status, 200)
  const catalogue = (await response.json()) as { methods: { name: string }[] }
  t.strictSame([...Value.Errors(Catalogue, catalogue)], [])
  const socket = await connect()
  t.strictSame(catalogue, await socket.call('methods.list'))
  t.strictSame(
    catalogue.methods.map(({ name }) => name),
    socket.helloOk!.features.methods,
  )
})

t.test('with authentication on, GET /methods asks for a token with the scope to read', async (t) => {
  const { url } = await startApp(t, {
    auth: {
      tokens: [
        { token: 'reader', role: 'viewer' },
        { token: 'worker', role: 'agent' },
      ],
    },
  })
  const get = (token?: string) =>
    fetch(`${url}/methods`, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })
  t.equal((await get('reader')).status, 200)
  for (const [token, status, code] of [
    [undefined, 401, 'UNAUTHORIZED'],
    ['wrong', 401, 'UNAUTHORIZED'],
    ['worker', 403, 'FORBIDDEN'],
  ] as const) {
    const response = await get(token)
    t.equal(response.status, status)
    t.ok(response.headers.get('www-authenticate')?.startsWith('Bearer'))
    t.match(await response.json(), { error: { code } })
  }
  t.equal((await fetch(`${url}/methods?token=reader`)).status, 401)
})

t.test('what is not there is a 404 in JSON, of the one error shape', async (t) => {
  const { url } = await startApp(t)
  for (const [path, method] of [
    ['/nope', 'GET'],
    ['/nope?secret=1', 'GET'],
    ['/health/', 'GET'],
    ['/methods', 'POST'],
    ['/metrics', 'DELETE'],
    ['/favicon.ico', 'GET'],
    ['/%2e%2e/etc/passwd', 'GET'],
  ] as const) {
    const response = await fetch(url + path, { method })
    t.equal(response.status, 404, path)
    t.match(response.headers.get('content-type'), /^application\/json/)
    const { error } = (await response.json()) as { error: { message: string } }
    t.strictSame([...Value.Errors(ErrorShape, error)], [])
    t.match(error, { code: 'NOT_FOUND' })
    t.notMatch(error.message, /secret/)
  }
})

t.test('what the framework refuses has the same shape', async (t) => {
  const { url } = await startApp(t)
  const odd = await fetch(`${url}/%zz`)
  t.equal(odd.status, 400)
  const { error } = (await odd.json()) as { error: unknown }
  t.strictSame([...Value.Errors(ErrorShape, error)], [])
  t.match(error, { code: 'INVALID_REQUEST' })
})
