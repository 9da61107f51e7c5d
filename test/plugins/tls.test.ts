import { EventEmitter, once } from 'node:events'
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import tls from '../../plugins/tls.js'
import { loadTlsMaterial, secureContextOptions } from '../../src/auth/tls-material.js'
import { createCertificate, replaceFile } from '../auth/certificates.js'

async function start(t: Test, baseDir: string, log: object[] = []) {
  const material = await loadTlsMaterial({ cert: 'cert.pem', key: 'key.pem', baseDir })
  const stream = { write: (line: string) => log.push(JSON.parse(line)) }
  const app = Fastify({ https: secureContextOptions(material), logger: { stream } })
  t.teardown(() => app.close())
  const reloads = new EventEmitter()
  const onReload = (error: Error | null) => reloads.emit('reload', error)
  const refused = async (): Promise<Error> => {
    const [error] = await once(reloads, 'reload')
    return error ?? refused()
  }
  // On a slow machine a reload may find the new certificate beside the old key, and be refused first.
  const renewed = async (): Promise<void> => {
    const [error] = await once(reloads, 'reload')
    if (error !== null) await renewed()
  }
  await app.register(tls, { material, onReload })
  const sockets = new WebSocketServer({ noServer: true })
  app.server.on('upgrade', (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (ws) => ws.on('message', (data) => ws.send(data)))
  })
  await app.listen({ port: 0 })
  return { app, port: (app.server.address() as AddressInfo).port, renewed, refused }
}

async function commonNameAt(port: number, options: object = {}): Promise<string | undefined> {
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  try {
    await once(socket, 'secureConnect')
    return socket.getPeerCertificate().subject.CN as string
  } finally {
    socket.destroy()
  }
}

async function openWebSocket(t: Test, port: number) {
  const ws = new WebSocket(`wss://127.0.0.1:${port}`, { rejectUnauthorized: false })
  t.teardown(() => ws.terminate())
  await once(ws, 'open')
  return async (text: string) => {
    ws.send(text)
    return String((await once(ws, 'message'))[0])
  }
}

t.test('a renewed certificate is seen by new connections, while open ones live on', async (t) => {
  const first = await createCertificate({ name: 'first' })
  const baseDir = t.testdir({ 'cert.pem': first.cert, 'key.pem': first.key })
  const { app, port, renewed } = await start(t, baseDir)
  const echo = await openWebSocket(t, port)
  t.equal(await commonNameAt(port), 'first')
  t.match(app.tls, { lastReload: null, lastError: null })

  for (const name of ['second', 'third']) {
    const next = await createCertificate({ name, toDays: 90 })
    const reloaded = renewed()
    await replaceFile(join(baseDir, 'key.pem'), next.key)
    await replaceFile(join(baseDir, 'cert.pem'), next.cert)
    await reloaded
    t.equal(await commonNameAt(port), name)
    t.equal(await echo(name), name)
  }
  t.match(app.tls, { lastReload: Number, lastError: null })
  t.ok(app.tls!.expiresAt < Date.now() + 91 * 86_400_000)
})

t.test('a bad renewal keeps the old certificate and says so, until a good one comes', async (t) => {
  const first = await createCertificate({ name: 'first' })
  const baseDir = t.testdir({ 'cert.pem': first.cert, 'key.pem': first.key })
  const log: { msg?: string }[] = []
  const { app, port, renewed, refused } = await start(t, baseDir, log)

  const notPem = refused()
  await replaceFile(join(baseDir, 'cert.pem'), 'not a certificate')
  t.match(await notPem, { message: /tls\.cert: expected a PEM certificate chain.*cert\.pem/ })
  t.match(app.tls, { lastReload: null, lastError: /CERTIFICATE/ })
  t.match(
    log.find(({ msg }) => msg?.includes('refused')),
    { msg: 'renewed TLS files refused; the old certificate stays in use', level: 50 },
  )
  t.equal(await commonNameAt(port), 'first')

  const missing = refused()
  await rm(join(baseDir, 'cert.pem'))
  t.match(await missing, { message: /ENOENT/ })
  t.equal(await commonNameAt(port), 'first')

  const restored = renewed()
  await writeFile(join(baseDir, 'cert.pem'), first.cert)
  await restored
  t.match(app.tls, { lastReload: null, lastError: null }, 'the old one is no renewal')

  const second = await createCertificate({ name: 'second' })
  const reloaded = renewed()
  await replaceFile(join(baseDir, 'cert.pem'), second.cert)
  await replaceFile(join(baseDir, 'key.pem'), second.key)
  await reloaded
  t.equal(await commonNameAt(port), 'second')
  t.notMatch(JSON.stringify(log), /PRIVATE KEY/)
})

t.test('a swapped folder symlink, as Kubernetes does it, is a renewal', async (t) => {
  const baseDir = t.testdir()
  const mount = async (name: string) => {
    const pair = await createCertificate({ name })
    const folder = join(baseDir, `..${name}`)
    await mkdir(folder)
    await writeFile(join(folder, 'cert.pem'), pair.cert)
    await writeFile(join(folder, 'key.pem'), pair.key, { mode: 0o600 })
    await symlink(`..${name}`, join(baseDir, '..data_tmp'))
    await rename(join(baseDir, '..data_tmp'), join(baseDir, '..data'))
  }
  await mount('first')
  for (const file of ['cert.pem', 'key.pem']) await symlink(`..data/${file}`, join(baseDir, file))
  const { port, renewed } = await start(t, baseDir)
  t.equal(await commonNameAt(port), 'first')

  for (const [name, old] of [
    ['second', 'first'],
    ['third', 'second'],
  ] as const) {
    const reloaded = renewed()
    await mount(name)
    await rm(join(baseDir, `..${old}`), { recursive: true })
    await reloaded
    t.equal(await commonNameAt(port), name)
  }
})

t.test('a renewal between the reading of the files and the start of the watch is found', async (t) => {
  const first = await createCertificate({ name: 'first' })
  const second = await createCertificate({ name: 'second' })
  const baseDir = t.testdir({ 'cert.pem': first.cert, 'key.pem': first.key })
  const material = await loadTlsMaterial({ cert: 'cert.pem', key: 'key.pem', baseDir })
  await writeFile(join(baseDir, 'cert.pem'), second.cert)
  await writeFile(join(baseDir, 'key.pem'), second.key)
  const app = Fastify({ https: secureContextOptions(material) })
  t.teardown(() => app.close())
  const reloaded = new Promise<Error | null>((resolve) => {
    app.register(tls, { material, onReload: resolve })
  })
  await app.listen({ port: 0 })
  t.equal(await reloaded, null)
  t.equal(await commonNameAt((app.server.address() as AddressInfo).port), 'second')
})

t.test('TLS 1.1 is refused, before a renewal and after', async (t) => {
  const first = await createCertificate()
  const baseDir = t.testdir({ 'cert.pem': first.cert, 'key.pem': first.key })
  const { port, renewed } = await start(t, baseDir)
  const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }
  await t.rejects(commonNameAt(port, old), /version|alert|reset/i)
  const second = await createCertificate({ name: 'second' })
  const reloaded = renewed()
  await replaceFile(join(baseDir, 'key.pem'), second.key)
  await replaceFile(join(baseDir, 'cert.pem'), second.cert)
  await reloaded
  await t.rejects(commonNameAt(port, old), /version|alert|reset/i)
  t.equal(await commonNameAt(port, { maxVersion: 'TLSv1.2' }), 'second')
})

t.test('without TLS there is nothing to watch, and closing twice is fine', async (t) => {
  const app = Fastify()
  await app.register(tls, { material: null })
  await app.ready()
  t.equal(app.tls, null)
  await app.close()
  await app.close()
})
