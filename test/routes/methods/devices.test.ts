import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type ConfigOverrides, startApp, temporaryFolder } from '../../helpers/app.js'
import { asRoot, ROOT, TestDevice } from '../../helpers/identities.js'
import type { TestSocket } from '../../helpers/socket.js'

function start(t: Test, pairing: object = {}, rest: ConfigOverrides = {}, options: { home?: string } = {}) {
  const tokens = [
    { name: 'root', token: ROOT },
    { name: 'viewer', token: 'viewer-token-of-tests', role: 'viewer' as const },
    { name: 'team', token: 'confined-admin-of-tests', sessions: ['team:*'] },
  ]
  const auth = { tokens, pairing: { enabled: true, ...pairing } }
  return startApp(t, { ...rest, auth } as ConfigOverrides, options)
}

/** The request of a device that is not known, after it was refused. */
async function ask(running: Awaited<ReturnType<typeof start>>, device: TestDevice) {
  const { socket, answer } = await device.connect(running)
  const { code } = await socket.closed
  return { error: answer.error, closeCode: code, ...answer.error?.details }
}

t.test(
  'a device that nobody knows waits until an operator approves it, and gets its own token',
  async (t) => {
    const running = await start(t)
    const root = await running.connect(asRoot)
    const device = new TestDevice()
    const asked = await ask(running, device)
    t.match(asked, {
      closeCode: 4401,
      error: { code: 'NOT_PAIRED', retryable: false },
      requestId: /^pair_/,
      deviceId: /^dev_[0-9a-f]{32}$/,
      code: /^[0-9A-Z]{8}$/,
    })
    const { requestId, deviceId, code } = asked
    const { payload } = await root.event('pairing.requested')
    t.match(payload.pairing, { kind: 'device', state: 'pending', requestId, deviceId, code, name: 'test' })
    t.match(await root.call('pairing.list'), { pairings: [payload.pairing] })
    t.match(await ask(running, device), { requestId, code }, 'the same request as before')

    const approved = await root.call('pairing.approve', { requestId, role: 'viewer', name: 'My phone' })
    t.match(approved.pairing, { kind: 'device', state: 'approved', code: null, approvedBy: 'root' })
    t.match((await root.event('pairing.resolved')).payload, { approved: true, pairing: { deviceId } })
    const { answer, socket } = await device.connect(running)
    t.match(answer, { type: 'hello-ok', auth: { role: 'viewer', scopes: ['read'], deviceToken: /^lbd_/ } })
    t.match(await socket.refused('tokens.list'), { code: 'FORBIDDEN' })
    const { deviceToken } = answer.auth
    t.equal((await device.connect(running)).answer.auth.deviceToken, undefined, 'told once')
    t.match((await running.connect({ auth: { token: deviceToken } })).helloOk!.auth, { role: 'viewer' })
    const http = await fetch(`${running.url}/methods`, {
      headers: { authorization: `Bearer ${deviceToken}` },
    })
    t.equal(http.status, 200)
    t.match(await root.call('devices.list'), {
      devices: [{ deviceId, name: 'My phone', role: 'viewer', hasToken: true, connections: 3 }],
    })
    t.match(await root.call('pairing.list'), { pairings: [] })
    t.notMatch(JSON.stringify(await running.app.journal.documents({ kind: 'device', limit: 9 })), deviceToken)
  },
)

t.test('a device that is shut out loses its connections at once, by key and by token', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const device = new TestDevice()
  const { code, deviceId } = await ask(running, device)
  await root.call('pairing.approve', { code: code.toLowerCase() })
  const byKey = await device.connect(running)
  const { deviceToken } = byKey.answer.auth
  const byToken = await running.connect({ auth: { token: deviceToken } })
  t.match(await root.call('devices.revoke', { deviceId }), { revoked: true })
  t.match(await byKey.socket.closed, { code: 4401 })
  t.match(await byToken.closed, { code: 4401 })
  t.match(await root.call('devices.list'), { devices: [] })
  const late = await running.open()
  t.match(await late.hello({ auth: { token: deviceToken } }), { error: { code: 'UNAUTHORIZED' } })
  t.match(await ask(running, device), { error: { code: 'NOT_PAIRED' } }, 'it may ask anew')
  t.match(await root.refused('devices.revoke', { deviceId }), { code: 'NOT_FOUND' })
})

t.test('a device that asks for a new token gets one, and that before ends', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const device = new TestDevice()
  await root.call('pairing.approve', { requestId: (await ask(running, device)).requestId })
  const first = (await device.connect(running)).answer.auth.deviceToken
  const withFirst = await running.connect({ auth: { token: first } })
  const { socket, answer } = await device.connect(running, { token: true })
  t.match(answer.auth.deviceToken, /^lbd_/)
  t.match(await withFirst.closed, { code: 4401 })
  await running.connect({ auth: { token: answer.auth.deviceToken } })
  t.match(await socket.call('gateway.ping'), { pong: true })
})

t.test('devices and their tokens outlive a restart, requests too', async (t) => {
  const home = await temporaryFolder(t)
  const journal = { type: 'sqlite' as const, path: join(home, 'j.db') }
  const [known, waiting] = [new TestDevice(), new TestDevice()]
  const first = await start(t, {}, { journal }, { home })
  const root = await first.connect(asRoot)
  await root.call('pairing.approve', { requestId: (await ask(first, known)).requestId })
  const { deviceToken } = (await known.connect(first)).answer.auth
  const { requestId } = await ask(first, waiting)
  await first.app.close()
  const second = await start(t, {}, { journal }, { home })
  t.match((await known.connect(second)).answer, { type: 'hello-ok' })
  await second.connect({ auth: { token: deviceToken } })
  t.match(await ask(second, waiting), { requestId })
})

t.test('a signature is good for its challenge, its connection, its key and its client alone', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const device = new TestDevice()
  await root.call('pairing.approve', { requestId: (await ask(running, device)).requestId })
  const challenged = async () => {
    const socket = await running.open()
    const answer = socket.hello({ auth: { device: { publicKey: device.publicKey } } })
    // Some are never answered.
    answer.catch(() => {})
    const challenge = await socket.next(({ type }) => type === 'hello-challenge')
    return { socket, challenge, answer }
  }
  const [one, two] = [await challenged(), await challenged()]
  t.not(one.challenge.nonce, two.challenge.nonce)
  const wrong: [string, (socket: TestSocket, challenge: typeof one.challenge) => string][] = [
    ['of another connection', () => device.sign(two.challenge)],
    ['of another client', (_, challenge) => device.sign(challenge, 'other')],
    ['of another key', (_, challenge) => new TestDevice().sign(challenge)],
    ['of nothing', () => 'A'.repeat(86)],
  ]
  for (const [what, make] of wrong) {
    const { socket, challenge, answer } = await challenged()
    socket.send({ type: 'hello-proof', signature: make(socket, challenge) })
    t.match(await answer, { type: 'hello-error', error: { code: 'UNAUTHORIZED' } }, what)
    t.match(await socket.closed, { code: 4401 }, what)
  }
  const malformed = await challenged()
  malformed.socket.send({ type: 'hello-proof', signature: 'short' })
  t.match(await malformed.answer, { error: { code: 'INVALID_REQUEST' } })
  // Points of small order, with which anybody could sign.
  for (const first of [0, 1, 0xec]) {
    const bytes = Buffer.alloc(32, first === 0xec ? 0xff : 0)
    bytes[0] = first
    if (first === 0xec) bytes[31] = 0x7f
    const socket = await running.open()
    const refused = await socket.hello({ auth: { device: { publicKey: bytes.toString('base64url') } } })
    t.match(refused, { error: { code: 'INVALID_REQUEST', message: /publicKey/ } })
  }

  const early = await challenged()
  early.socket.send({ type: 'request', id: 'early', method: 'gateway.ping' })
  t.match(await early.socket.next(({ id }) => id === 'early'), { error: { code: 'INVALID_REQUEST' } })
  early.socket.send({ type: 'hello-proof', signature: device.sign(early.challenge) })
  early.socket.send({ type: 'request', id: 'late', method: 'gateway.ping' })
  t.match(await early.answer, { type: 'hello-ok' })
  t.match(await early.socket.next(({ id }) => id === 'late'), { result: { pong: true } })
})

t.test('whoever does not answer the challenge is closed with 4408', async (t) => {
  const running = await start(t, {}, { connection: { handshakeTimeoutMs: 50 } })
  const socket = await running.open()
  const answer = socket.hello({ auth: { device: { publicKey: new TestDevice().publicKey } } })
  t.match(await answer, { type: 'hello-error', error: { message: /hello-proof/ } })
  t.match(await socket.closed, { code: 4408 })
})

t.test('requests are bounded, in all and for each address, and expire', async (t) => {
  const few = await start(t, { maxPending: 2 })
  for (let i = 0; i < 2; i++) t.match(await ask(few, new TestDevice()), { error: { code: 'NOT_PAIRED' } })
  t.match(await ask(few, new TestDevice()), { closeCode: 4429, error: { code: 'RATE_LIMITED' } })

  const brief = await start(t, { requestTtlMs: 1_000, maxPerAddress: 1 })
  const root = await brief.connect(asRoot)
  const device = new TestDevice()
  const { requestId } = await ask(brief, device)
  t.match(await ask(brief, new TestDevice()), { closeCode: 4429, error: { code: 'RATE_LIMITED' } })
  t.match(await ask(brief, device), { requestId }, 'whoever waits may look again')
  let again = await ask(brief, device)
  while (again.requestId === requestId) again = await ask(brief, device)
  t.match(await root.refused('pairing.approve', { requestId }), { code: 'NOT_FOUND' })
})

t.test('a refused device is forgotten', async (t) => {
  const running = await start(t)
  const root = await running.connect(asRoot)
  const { requestId } = await ask(running, new TestDevice())
  t.match(await root.call('pairing.reject', { requestId }), { rejected: true })
  t.match((await root.event('pairing.resolved')).payload, { approved: false })
  t.match(await root.refused('pairing.approve', { requestId }), { code: 'NOT_FOUND' })
})

t.test('nobody approves more than they have, and only administrators see devices', async (t) => {
  const running = await start(t)
  const device = new TestDevice()
  const { requestId, deviceId } = await ask(running, device)
  const viewer = await running.connect({ auth: { token: 'viewer-token-of-tests' } })
  t.match(await viewer.call('pairing.list'), { pairings: [] })
  t.match(await viewer.refused('pairing.approve', { requestId }), { code: 'FORBIDDEN' })
  const team = await running.connect({ auth: { token: 'confined-admin-of-tests' } })
  t.match(await team.refused('pairing.approve', { requestId, sessions: ['*'] }), { code: 'FORBIDDEN' })
  const root = await running.connect(asRoot)
  await root.call('pairing.approve', { requestId })
  t.match(await root.refused('pairing.approve', { requestId }), { code: 'CONFLICT' })
  t.match(await team.call('devices.list'), { devices: [] })
  t.match(await team.refused('devices.revoke', { deviceId }), { code: 'FORBIDDEN' })
  t.match(await team.refused('pairing.reject', { requestId }), { code: 'FORBIDDEN' })

  const second = new TestDevice()
  const asked = await ask(running, second)
  await team.call('pairing.approve', { requestId: asked.requestId })
  const { socket } = await second.connect(running)
  t.match(await socket.refused('sessions.get', {}, 'web:1:main'), { code: 'FORBIDDEN' })
})

t.test('without pairing a device is told so', async (t) => {
  const running = await startApp(t, { auth: { tokens: [ROOT] } })
  const socket = await running.open()
  const answer = await socket.hello({ auth: { device: { publicKey: new TestDevice().publicKey } } })
  t.match(answer, { error: { code: 'UNAUTHORIZED', message: /not paired here/ } })
  const root = await running.connect(asRoot)
  t.match(await root.call('devices.list'), { devices: [] })
})

t.test('a token in the hello goes before a device', async (t) => {
  const running = await start(t)
  const socket = await running.open()
  const { publicKey } = new TestDevice()
  t.match(await socket.hello({ auth: { token: ROOT, device: { publicKey } } }), { type: 'hello-ok' })
})
