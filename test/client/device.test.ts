import t from 'tap'
import {
  createDevicePem,
  createNodeClient,
  createWebKeyPair,
  type DeviceKey,
  deviceKeyOfPem,
  webDeviceKey,
} from '../../src/client/node.js'
import { gatewayPing } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'
import { asRoot, ROOT } from '../helpers/identities.js'

const client = { id: 'my-device', version: '1.0.0', platform: 'test', mode: 'app' as const }

async function start(t: Parameters<typeof startApp>[0]) {
  const running = await startApp(t, { auth: { tokens: [ROOT], pairing: { enabled: true } } })
  const connectWith = (device: DeviceKey) => {
    const created = createNodeClient({
      url: running.wsUrl,
      device,
      client,
      reconnect: { minMs: 1, maxMs: 5 },
    })
    t.teardown(() => created.close())
    return created
  }
  return { ...running, connectWith, root: await running.connect(asRoot) }
}

const keys: Record<string, () => Promise<DeviceKey>> = {
  'from a PEM file': async () => deviceKeyOfPem(createDevicePem()),
  'of WebCrypto': async () => webDeviceKey(await createWebKeyPair()),
}

for (const [what, makeKey] of Object.entries(keys)) {
  t.test(`a client with a key ${what} is paired and comes back by itself`, async (t) => {
    const { app, root, connectWith } = await start(t)
    const device = connectWith(await makeKey())
    const refused = await device.connect().then(
      () => null,
      (error) => error,
    )
    t.match(refused, { code: 'NOT_PAIRED', details: { requestId: /^pair_/, code: String } })
    await root.call('pairing.approve', { requestId: refused.details.requestId, role: 'viewer' })
    const hello = await device.connect()
    t.match(hello.auth, { role: 'viewer', deviceToken: /^lbd_/ })
    const isBack = new Promise<void>((resolve) => {
      device.onStateChange(({ status }) => {
        if (status === 'open') resolve()
      })
    })
    for (const connection of app.connections) {
      if (connection.client?.id === 'my-device') connection.close('RESTARTING')
    }
    await isBack
    t.match(await device.request(gatewayPing, {}), { pong: true })
    const [{ deviceId }] = (await root.call('devices.list')).devices
    await root.call('devices.revoke', { deviceId })
    t.match(await device.closed, { code: 'UNAUTHORIZED' })
  })
}

t.test('a key that cannot sign fails the connection, and says so', async (t) => {
  const { connectWith } = await start(t)
  const { publicKey } = deviceKeyOfPem(createDevicePem())
  const device = connectWith({
    publicKey,
    sign: async () => {
      throw new Error('the key is locked')
    },
  })
  await t.rejects(device.connect(), { code: 'UNAUTHORIZED', cause: { message: 'the key is locked' } })
})

t.test('a key of another kind is refused', async (t) => {
  const { generateKeyPairSync } = await import('node:crypto')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  t.throws(() => deviceKeyOfPem(pem), /expected an Ed25519 key, found ec/)
})
