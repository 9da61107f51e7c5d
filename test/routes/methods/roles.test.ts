import t from 'tap'
import { EVENTS, type Scope } from '../../../src/protocol/index.js'
import { EVERYTHING_HELLO, GOOD, startStage } from '../../helpers/good-requests.js'
import type { Frame, TestSocket } from '../../helpers/socket.js'

/** What each role may do, written down anew: the code has a table of its own. */
const ROLES: Readonly<Record<string, { role: string; scopes: readonly Scope[]; sessions?: string[] }>> = {
  admin: { role: 'admin', scopes: ['read', 'write', 'admin', 'agent'] },
  operator: { role: 'operator', scopes: ['read', 'write'] },
  viewer: { role: 'viewer', scopes: ['read'] },
  agent: { role: 'agent', scopes: ['agent'] },
  confined: { role: 'admin', scopes: ['read', 'write', 'admin', 'agent'], sessions: ['mine:*'] },
  'confined viewer': { role: 'viewer', scopes: ['read'], sessions: ['mine:*'] },
  nowhere: { role: 'admin', scopes: ['read', 'write', 'admin', 'agent'], sessions: [] },
}
/** Methods that tell of, or touch, more than sessions: not for those who are confined to some. */
const UNCONFINED = [
  ...['connections.list', 'connections.close', 'logs.tail', 'audit.list', 'hooks.list', 'hooks.reload'],
  ...['config.get', 'config.set', 'config.patch', 'config.reload'],
]
const MINE = 'mine:1:main'
const THEIRS = 'theirs:FOREIGN:main'

const secret = (name: string) => `${name.replaceAll(' ', '-')}-token-0123456789`
const auth = {
  enabled: true,
  pairing: { enabled: true },
  tokens: Object.entries(ROLES).map(([name, { role, sessions }]) => ({
    name,
    token: secret(name),
    role,
    sessions,
  })),
}
const as = (name: string, hello: object = { subscribe: ['*'] }) => ({
  ...hello,
  auth: { token: secret(name) },
})

t.test('each method of the catalogue does what it is for, when it is asked well', async (t) => {
  const { app, connect, stage } = await startStage(t, auth)
  t.strictSame(Object.keys(GOOD).sort(), app.methods.names, 'a new method is a line in GOOD')
  for (const method of Object.keys(GOOD)) {
    const socket = await connect(as('admin', EVERYTHING_HELLO))
    await socket.request('sessions.create', {}, MINE)
    const { params, key } = await GOOD[method]!(stage(socket, MINE))
    const { error, result } = await socket.request(method, params, key)
    t.equal(error, null, `${method}: ${error?.message}`)
    t.type(result, 'object', method)
    socket.terminate()
  }
})

t.test('who has no token, or a wrong one, gets no further than the hello', async (t) => {
  const { open } = await startStage(t, auth)
  for (const credentials of [
    undefined,
    { token: '' },
    { token: 'wrong-token-0123456789' },
    { password: 'x' },
  ]) {
    const socket = await open()
    socket.send({ type: 'request', id: 'early', method: 'gateway.ping' })
    t.match(await socket.hello({ auth: credentials }), {
      type: 'hello-error',
      error: { code: 'UNAUTHORIZED' },
    })
    t.equal((await socket.closed).code, 4401)
    t.notOk(
      socket.frames.some(({ result }) => result),
      'nothing was answered',
    )
  }
})

t.test('a role may call the methods of its scopes, in its sessions, and no others', async (t) => {
  const { app, connect } = await startStage(t, auth)
  for (const [name, { scopes, sessions }] of Object.entries(ROLES)) {
    const socket = await connect(as(name, { subscribe: [] }))
    for (const method of app.methods.names) {
      const { scope, session } = app.methods.get(method).contract
      for (const key of [MINE, THEIRS]) {
        const { error } = await socket.request(method, { limit: 'bad', wrong: true }, key)
        const title = `${name}: ${method} in ${key}`
        if (scope !== null && !scopes.includes(scope)) {
          t.match(error, { code: 'FORBIDDEN', details: { scope } }, title)
        } else if (
          session !== 'none' &&
          sessions !== undefined &&
          (key === THEIRS || sessions.length === 0)
        ) {
          t.match(error, { code: 'FORBIDDEN', details: { sessionKey: key } }, title)
        } else if (error?.code === 'FORBIDDEN') {
          // Of the handler's own: what concerns all sessions.
          t.strictSame(error.details, { sessions }, title)
        } else {
          t.pass(title)
        }
      }
    }
  }
})

t.test('each event reaches the roles of its scope, of their sessions, and nobody else', async (t) => {
  const { app, connect } = await startStage(t, auth)
  const sockets = new Map<string, TestSocket>()
  for (const name of Object.keys(ROLES)) sockets.set(name, await connect(as(name)))
  for (const socket of sockets.values()) await socket.call('gateway.ping')
  const events = Object.values(EVENTS)
  const earlier = new Map([...sockets].map(([name, socket]) => [name, socket.frames.length]))
  for (const { name, session } of events)
    for (const sessionKey of session ? [MINE, THEIRS] : [null])
      app.events.broadcast({ event: name, sessionKey, at: 1, payload: '{"marked":true}', seq: 0 })
  for (const [name, socket] of sockets) {
    const { scopes, sessions } = ROLES[name]!
    await socket.call('gateway.ping')
    const got = socket.frames
      .slice(earlier.get(name))
      .filter(({ payload }: Frame) => payload?.marked)
      .map(({ event, sessionKey }: Frame) => `${event} ${sessionKey}`)
    const due = events.flatMap(({ name: event, scope, session }) => {
      if (scope !== null && !scopes.includes(scope)) return []
      if (!session) return scope === null || sessions === undefined ? [`${event} null`] : []
      return [MINE, THEIRS]
        .filter((key) => sessions === undefined || (key === MINE && sessions.length > 0))
        .map((key) => `${event} ${key}`)
    })
    t.strictSame(got, due, name)
  }
})

t.test('who is confined hears nothing of other sessions, whatever is asked', async (t) => {
  const { app, connect, stage } = await startStage(t, auth)
  const admin = await connect(as('admin', EVERYTHING_HELLO))
  const confined = await connect(as('confined', EVERYTHING_HELLO))
  const theirs = stage(admin, THEIRS)
  await admin.call('sessions.create', { title: 'FOREIGN title', metadata: { note: 'FOREIGN' } }, THEIRS)
  await admin.call('sessions.send', { content: 'FOREIGN text', wait: true }, THEIRS)
  await theirs.deadLetter()
  await theirs.question()
  await theirs.busy()
  await admin.call('lanes.pause', {}, THEIRS)
  await admin.call('sessions.send', { content: 'FOREIGN waits' }, THEIRS)
  await confined.call('sessions.create', {}, MINE)
  app.log.info({ sessionKey: THEIRS }, 'of a session')
  // Asked for by what is there, and as if it were in a session of their own.
  for (const method of Object.keys(GOOD)) {
    const { params = {}, key } = await GOOD[method]!(theirs)
    const { session } = app.methods.get(method).contract
    for (const sessionKey of session === 'none' ? [undefined] : [key, MINE, undefined]) {
      const { error } = await confined.request(method, params, sessionKey)
      const title = `${method} ${JSON.stringify(params)} ${sessionKey}`
      if (UNCONFINED.includes(method)) t.match(error, { code: 'FORBIDDEN' }, title)
      else if (sessionKey?.startsWith(THEIRS)) t.match(error, { code: 'FORBIDDEN' }, title)
      else if (namesTheirs(method, params)) t.match(error, { code: /NOT_FOUND|CONFLICT|FORBIDDEN/ }, title)
    }
  }
  await confined.call('gateway.ping')
  const leaked = confined.frames.filter((frame) => {
    const { details: _echoed, ...error } = frame.error ?? {}
    return JSON.stringify({ ...frame, error }).includes('FOREIGN')
  })
  t.strictSame(leaked, [])
})

/** Whether params name something that is in a session. Who may be let in on a channel is in none. */
function namesTheirs(method: string, params: object): boolean {
  return !method.startsWith('pairing.') && Object.keys(params).some((name) => /Id$|^lease$/.test(name))
}
