import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { type GatewayProcess, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'

/** The snippets of the reference, as they are written there. */
const CONNECT = `
const ws = new WebSocket('ws://127.0.0.1:18789');

ws.onopen = () => {
  // Send hello handshake
  ws.send(JSON.stringify({
    type: 'hello',
    minProtocol: 1,
    maxProtocol: 1,
    client: {
      id: 'my-client',
      version: '1.0.0',
      platform: 'web',
      mode: 'web'
    }
  }));
};

ws.onmessage = (event) => {
  const message = JSON.parse(event.data);
  if (message.type === 'hello-ok') {
    console.log('Connected:', message.server);
    console.log('Features:', message.features);
  }
};
`
const REQUEST = `
// Send request
ws.send(JSON.stringify({
  id: 'req-123',
  type: 'request',
  method: 'sessions.list',
  params: {}
}));

// Handle response
ws.onmessage = (event) => {
  const message = JSON.parse(event.data);
  if (message.type === 'response' && message.id === 'req-123') {
    if (message.error) {
      console.error('Error:', message.error);
    } else {
      console.log('Result:', message.result);
    }
  }
};
`
const REQUEST_FRAME = `{
  "id": "req-123",
  "type": "request",
  "method": "sessions.list",
  "params": {},
  "sessionKey": "telegram:123456789:main"
}`
const EVENT_FRAME = `{
  "id": "evt-456",
  "type": "event",
  "at": 1706700000000,
  "event": "session.message",
  "payload": {
    "content": "Hello!",
    "role": "user"
  },
  "sessionKey": "telegram:123456789:main"
}`

/** The models of the reference's client: a field that it indexes has to be there, with null where it has no value. */
const MODELS: Record<string, string[]> = {
  'hello-ok': ['type', 'protocol', 'server', 'features', 'snapshot'],
  event: ['id', 'type', 'at', 'event', 'payload', 'sessionKey'],
  response: ['id', 'type', 'result', 'error'],
}

/** What the snippets print. */
function recorder() {
  const printed: [string, unknown][] = []
  const waiting = new Set<() => void>()
  const print = (label: string, value: unknown) => {
    printed.push([label, value])
    for (const wake of waiting) wake()
  }
  return {
    console: { log: print, error: print },
    async printed(label: string): Promise<unknown> {
      for (;;) {
        const found = printed.find(([said]) => said === label)
        if (found !== undefined) return found[1]
        await new Promise<void>((resolve) => waiting.add(resolve))
      }
    },
  }
}

/** Runs a snippet with these globals; its `ws` comes back. */
function run(code: string, globals: Record<string, unknown>): WebSocket {
  const names = Object.keys(globals)
  return new Function(...names, `${code}\nreturn ws`)(...names.map((name) => globals[name]))
}

let gateway: GatewayProcess
const { home, remove } = temporaryHome()
t.before(async () => {
  gateway = await startGateway({ home })
})
t.teardown(async () => {
  await gateway.stop()
  remove()
})

t.test('the browser snippets run as they are written', async (t) => {
  const { port } = new URL(gateway.url)
  const out = recorder()
  const ws = run(CONNECT.replace('18789', port), { WebSocket, console: out.console })
  t.match(await out.printed('Connected:'), { version: /^\d+\.\d+\.\d+/, host: null, connId: /./ })
  t.match(await out.printed('Features:'), { methods: Array, events: Array })
  run(REQUEST, { ws, console: out.console })
  t.match(await out.printed('Result:'), { sessions: [] })
  ws.close()
  await once(ws, 'close')
})

t.test('they run with the WebSocket that Node has from version 22 on', async (t) => {
  const native = (globalThis as unknown as { WebSocket?: typeof WebSocket }).WebSocket
  if (native === undefined) return t.comment('this Node has none')
  const out = recorder()
  const ws = run(CONNECT.replace('18789', new URL(gateway.url).port), {
    WebSocket: native,
    console: out.console,
  })
  t.ok(await out.printed('Connected:'))
  ws.close()
})

t.test('its JSON frames are understood', async (t) => {
  const socket = await TestSocket.greeted(t, new URL('/', gateway.wsUrl).href)
  socket.send(REQUEST_FRAME)
  t.match(await socket.next(({ id }) => id === 'req-123'), {
    type: 'response',
    result: { sessions: Array },
    error: null,
  })
  socket.send(EVENT_FRAME)
  await socket.event('agent.completed', ({ sessionKey }) => sessionKey === 'telegram:123456789:main')
  t.notOk(
    socket.frames.some(({ id }) => id === 'evt-456'),
    'nothing answers it',
  )
  socket.terminate()
})

t.test('a client that indexes the reference’s fields finds each of them in every frame', async (t) => {
  const socket = new TestSocket(gateway.wsUrl)
  await socket.opened
  const helloOk = await socket.hello({
    minProtocol: undefined,
    maxProtocol: undefined,
    min_protocol: 1,
    max_protocol: 1,
    client: { id: 'py', display_name: null, version: '0.1.0', platform: 'python', mode: 'cli' },
    caps: null,
    auth: null,
  })
  for (const name of ['version', 'host', 'connId']) t.ok(name in helloOk.server, `server.${name}`)
  for (const name of ['sessions', 'cronJobs', 'channels']) t.ok(Array.isArray(helloOk.snapshot[name]), name)
  await socket.call('sessions.send', { content: 'hi', wait: true }, 'a:1')
  const { code, details } = await socket.refused('no.such')
  t.equal(code, 'METHOD_NOT_FOUND')
  t.equal(details, null)
  socket.send({ id: 'p', type: 'request', method: 'sessions.get', params: null, session_key: 'a:1' })
  t.match(await socket.next(({ id }) => id === 'p'), { result: { session: { key: 'a:1' } } })
  for (const frame of socket.frames) {
    for (const name of MODELS[frame.type]!) t.ok(Object.hasOwn(frame, name), `${frame.type}.${name}`)
  }
  t.ok(socket.frames.some(({ type }) => type === 'event'))
  socket.terminate()
})

t.test('health and metrics are where it says', async (t) => {
  for (const path of ['/health', '/metrics']) t.equal((await fetch(new URL(path, gateway.url))).status, 200)
})
