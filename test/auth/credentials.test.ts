import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { isWebSocketUpgrade, readCredentials, selectProtocol } from '../../src/auth/credentials.js'
import fc from '../helpers/properties.js'

t.test('credentials come from the Authorization header or the bearer subprotocol', (t) => {
  t.equal(readCredentials({ authorization: 'Bearer abc' }), 'abc')
  t.equal(readCredentials({ authorization: 'bearer   abc ' }), 'abc')
  t.equal(readCredentials({ 'sec-websocket-protocol': 'lurkbot.v1, bearer.a.b-c' }), 'a.b-c')
  t.equal(readCredentials({ authorization: 'Bearer x', 'sec-websocket-protocol': 'bearer.x' }), 'x')
  t.equal(readCredentials({}), null)
  t.equal(readCredentials({ 'sec-websocket-protocol': 'bearer.,Bearer.x,graphql' }), null)
  t.equal(readCredentials({ authorization: 'Basic dTpw' }), null)
  t.equal(readCredentials({ authorization: 'Bearers x' }), null)
  t.end()
})

t.test('several different credentials, or a Bearer without one, are UNAUTHORIZED', (t) => {
  const cases = [
    { authorization: 'Bearer x', 'sec-websocket-protocol': 'bearer.y' },
    { 'sec-websocket-protocol': 'bearer.x,bearer.y' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer  ' },
    { authorization: 'Bearer a b' },
  ]
  for (const headers of cases) {
    t.throws(() => readCredentials(headers), { code: 'UNAUTHORIZED' }, JSON.stringify(headers))
  }
  t.end()
})

t.test('any visible token survives the way through the header', (t) => {
  const token = fc.stringMatching(/^[\x21-\x7e]{1,60}$/)
  fc.assert(
    fc.property(token, (secret) => readCredentials({ authorization: `Bearer ${secret}` }) === secret),
    { numRuns: 200 },
  )
  t.end()
})

t.test('a token is echoed as subprotocol only when there is nothing else to select', (t) => {
  const select = (...protocols: string[]) => selectProtocol(new Set(protocols))
  t.equal(select('bearer.x', 'lurkbot.v1'), 'lurkbot.v1')
  t.equal(select('graphql', 'bearer.x'), 'bearer.x')
  t.equal(select('graphql'), false)
  t.equal(select('bearer.'), false)
  t.equal(select(), false)
  t.end()
})

t.test('an upgrade is told from a request that only says so in one header', (t) => {
  t.ok(isWebSocketUpgrade({ upgrade: 'WebSocket', connection: 'keep-alive, Upgrade' }))
  t.notOk(isWebSocketUpgrade({ upgrade: 'websocket', connection: 'keep-alive' }))
  t.notOk(isWebSocketUpgrade({ upgrade: 'websocket' }))
  t.notOk(isWebSocketUpgrade({ upgrade: 'h2c', connection: 'Upgrade' }))
  t.notOk(isWebSocketUpgrade({}))
  t.end()
})

t.test('a client that offers its token as subprotocol connects, and is told apart by it', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: selectProtocol })
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const offers: [offered: string[], selected: string, secret: string | null][] = [
    [['bearer.x_Y-z.1', 'lurkbot.v1'], 'lurkbot.v1', 'x_Y-z.1'],
    [['bearer.x'], 'bearer.x', 'x'],
    [[], '', null],
  ]
  for (const [offered, selected, secret] of offers) {
    const ws = new WebSocket(`ws://127.0.0.1:${port}`, offered)
    const [[, request]] = await Promise.all([once(server, 'connection'), once(ws, 'open')])
    t.equal(ws.protocol, selected)
    t.equal(readCredentials(request.headers), secret)
    ws.terminate()
  }
})
