import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t from 'tap'
import { writePidFile } from '../../src/cli/pid-file.js'
import { findTarget } from '../../src/cli/target.js'

t.test('the gateway is where the configuration says, unless one runs elsewhere', async (t) => {
  const home = t.testdir({ 'config.yaml': 'port: 1234\nbasePath: /gw\n' })
  const env = { LURKBOT_HOME: home }
  t.match(await findTarget({}, env), { wsUrl: 'ws://127.0.0.1:1234/gw/ws', running: null })
  const url = 'http://127.0.0.1:99'
  const wsUrl = 'ws://127.0.0.1:99/ws'
  const { remove } = writePidFile(home, {
    startedAt: 1,
    version: '1',
    url,
    wsUrl,
    configFile: null,
    lastRestart: null,
  })
  t.teardown(remove)
  t.match(await findTarget({}, env), { url, wsUrl, running: { pid: process.pid } })
  t.match(await findTarget({ url: 'ws://127.0.0.1:7' }, env), {
    wsUrl: 'ws://127.0.0.1:7/ws',
    running: null,
  })
})

t.test(
  'a token is taken from the file given, the environment, the configuration, the state folder',
  async (t) => {
    const home = t.testdir({
      token: 'stored\n',
      given: ' given\n',
      'config.yaml': `auth: {tokens: [{token: reader, scopes: [read]}, {token: boss, role: admin}]}`,
    })
    const env = { LURKBOT_HOME: home, LURKBOT_TOKEN: 'environment' }
    t.equal((await findTarget({ tokenFile: join(home, 'given') }, env)).token, 'given')
    t.equal((await findTarget({}, env)).token, 'environment')
    t.equal((await findTarget({}, { LURKBOT_HOME: home })).token, 'boss')
    const other = { LURKBOT_HOME: home, LURKBOT_GATEWAY__AUTH_TOKENS: 'first,second' }
    t.equal((await findTarget({}, other)).token, 'first')
    writeFileSync(join(home, 'config.yaml'), 'port: 1\n')
    const stored = await findTarget({}, { LURKBOT_HOME: home })
    t.equal(stored.token, 'stored')
    t.match(stored.tokenPlaces, [/LURKBOT_TOKEN/, /config\.yaml/, /token$/])
  },
)

t.test('tokens of this machine are not sent to another address', async (t) => {
  const home = t.testdir({ token: 'stored', 'config.yaml': 'auth: {tokens: [secret]}\nport: 5\n' })
  const env = { LURKBOT_HOME: home }
  const foreign = await findTarget({ url: 'wss://example.org' }, env)
  t.equal(foreign.token, undefined)
  t.equal(foreign.tokenPlaces.length, 1)
  t.equal((await findTarget({ url: 'wss://example.org' }, { ...env, LURKBOT_TOKEN: 'x' })).token, 'x')
  t.equal((await findTarget({ url: 'ws://127.0.0.1:5' }, env)).token, 'secret', 'its own address is fine')
})

t.test('a token file that is missing or empty is an error, not a reason to look elsewhere', async (t) => {
  const home = t.testdir({ empty: '\n' })
  const env = { LURKBOT_HOME: home, LURKBOT_TOKEN: 'x' }
  await t.rejects(findTarget({ tokenFile: join(home, 'empty') }, env), { exitCode: 64, message: /is empty/ })
  await t.rejects(findTarget({ tokenFile: join(home, 'none') }, env), { exitCode: 64, message: /ENOENT/ })
})

t.test('a broken configuration is reported, but does not hide the gateway that runs', async (t) => {
  const home = t.testdir({ 'config.yaml': 'prot: 1\n' })
  const env = { LURKBOT_HOME: home }
  await t.rejects(findTarget({}, env), { name: 'ConfigError' })
  t.match(await findTarget({ url: 'ws://127.0.0.1:5' }, env), { wsUrl: 'ws://127.0.0.1:5/ws' })
  const url = 'http://127.0.0.1:99'
  const fields = {
    startedAt: 1,
    version: '1',
    url,
    wsUrl: 'ws://127.0.0.1:99/ws',
    configFile: null,
    lastRestart: null,
  }
  t.teardown(writePidFile(home, fields).remove)
  const { output } = await captureStderr(() => findTarget({}, env))
  t.match(output, /prot/)
})

t.test('the own certificate is trusted whatever name it has, another one is not', async (t) => {
  const pems = await generate([{ name: 'commonName', value: 'gateway.example' }], { keySize: 2048 })
  const home = t.testdir({
    'cert.pem': pems.cert,
    'key.pem': pems.private,
    'config.yaml': 'tls: {enabled: true, cert: ./cert.pem, key: ./key.pem}\n',
  })
  const { url, tls } = await findTarget({}, { LURKBOT_HOME: home })
  t.equal(url, 'https://127.0.0.1:18789')
  const { X509Certificate } = await import('node:crypto')
  const own = new X509Certificate(readFileSync(join(home, 'cert.pem'))).toLegacyObject()
  t.equal(tls?.checkServerIdentity?.('127.0.0.1', own), undefined)
  const other = { ...own, fingerprint256: '00' }
  t.ok(tls?.checkServerIdentity?.('127.0.0.1', other) instanceof Error)
})

async function captureStderr(work: () => Promise<unknown>): Promise<{ output: string }> {
  const { write } = process.stderr
  let output = ''
  process.stderr.write = ((text: string) => {
    output += text
    return true
  }) as typeof write
  try {
    await work()
  } finally {
    process.stderr.write = write
  }
  return { output }
}
