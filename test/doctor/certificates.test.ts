import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { certificates } from '../../src/doctor/certificates.js'
import { createCertificate } from '../auth/certificates.js'
import { temporaryFolder } from '../helpers/app.js'
import { contextOf, run, told } from './context.js'

async function look(t: Test, { cert, key }: { cert: string; key: string }, url?: string): Promise<string[]> {
  const home = await temporaryFolder(t)
  writeFileSync(join(home, 'cert.pem'), cert)
  writeFileSync(join(home, 'key.pem'), key, { mode: 0o600 })
  const tls = { enabled: true, cert: 'cert.pem', key: 'key.pem' }
  const publicTarget = url === undefined ? null : ({ url } as never)
  return told(await run(certificates, await contextOf(t, { tls }, { home, publicTarget })))
}

t.test('a certificate is told by its names and its end', async (t) => {
  const good = await createCertificate()
  t.match(await look(t, good), [
    /^ok: .*cert\.pem is for DNS:localhost, IP Address:127\.0\.0\.1, good for 36\d more days/,
  ])
  t.match(await look(t, good, 'https://localhost'), [/^ok/])
  t.match(await look(t, good, 'https://chat.example'), [/^warning: .* and not for chat\.example/])
  t.match(await look(t, await createCertificate({ toDays: 20 })), [/^warning: .*expires in (19|20) days/])
  t.match(await look(t, await createCertificate({ toDays: -2 })), [/^error: tls\.cert: .*expired on/])
  const other = await createCertificate()
  t.match(await look(t, { cert: good.cert, key: other.key }), [/^error: tls\.key: .*found another one/])
  t.match(await look(t, { cert: 'nothing', key: other.key }), [/^error: tls\.cert/])
  t.match(told(await run(certificates, await contextOf(t))), [/^ok: TLS is off/])
})

t.test('a key that every user may read is told, and closed on request', async (t) => {
  const home = await temporaryFolder(t)
  const { cert, key } = await createCertificate()
  writeFileSync(join(home, 'cert.pem'), cert)
  const path = join(home, 'key.pem')
  writeFileSync(path, key)
  chmodSync(path, 0o644)
  const context = await contextOf(t, { tls: { enabled: true, cert: 'cert.pem', key: 'key.pem' } }, { home })
  t.match(await run(certificates, context), [
    { severity: 'ok' },
    {
      severity: 'error',
      message: /open to every user \(mode 644\)/,
      remedy: `chmod o-rwx '${path}'`,
      fixable: true,
    },
  ])
  await run(certificates, { ...context, fix: true })
  t.equal(statSync(path).mode & 0o777, 0o640)
  t.match(told(await run(certificates, context)), [/^ok/])
})

t.test('a chain without its middle is told', async (t) => {
  const folder = await temporaryFolder(t)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const request = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...request, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test CA')
  openssl('req', ...request, '-keyout', 'key.pem', '-out', 'leaf.csr', '-subj', '/CN=chat.example')
  writeFileSync(join(folder, 'names'), 'subjectAltName=DNS:chat.example')
  const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '90', '-extfile', 'names']
  openssl('x509', '-req', '-in', 'leaf.csr', '-out', 'leaf.pem', ...signing)
  const [leaf, ca, key] = ['leaf.pem', 'ca.pem', 'key.pem'].map((name) =>
    readFileSync(join(folder, name), 'utf8'),
  )
  const alone = await look(t, { cert: leaf!, key: key! })
  t.match(alone, [/^warning: .*issuer \(CN=Test CA\) is not in the file/])
  t.match(await look(t, { cert: `${leaf}${ca}`, key: key! }), [/^ok/])
  const stranger = await createCertificate()
  const mixed = await look(t, { cert: `${leaf}${stranger.cert}`, key: key! })
  t.match(mixed, [/^warning: .*has not issued certificate 1/])
})

t.test('the keys of the identity provider are fetched', async (t) => {
  let body = '{"keys": [{"kty": "OKP"}]}'
  const server = createServer((_, response) => response.end(body)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
  const jwt = { issuer: 'https://id.example', audience: ['gateway'], jwksUri }
  const context = await contextOf(t, { auth: { jwt } } as never)
  t.match(told(await run(certificates, context)), [/^ok/, /^ok: auth\.jwt\.jwksUri answers with 1 keys/])
  body = '{}'
  t.match(told(await run(certificates, context)), [/^ok/, /^error: .*it has no keys/])
  server.close()
  server.closeAllConnections()
  t.match(told(await run(certificates, context)), [/^ok/, /^error: auth\.jwt\.jwksUri cannot be fetched/])
})

t.test('an identity provider that does not answer keeps nothing else from being told', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
  const jwt = { issuer: 'https://id.example', audience: ['gateway'], jwksUri }
  const home = await temporaryFolder(t)
  const { cert, key } = await createCertificate({ toDays: 20 })
  writeFileSync(join(home, 'cert.pem'), cert)
  writeFileSync(join(home, 'key.pem'), key, { mode: 0o600 })
  const tls = { enabled: true, cert: 'cert.pem', key: 'key.pem' }
  const context = await contextOf(t, { tls, auth: { jwt } } as never, { home, peerTimeoutMs: 50 })
  t.match(told(await run(certificates, context)), [
    /^warning: .*expires in/,
    /^error: auth\.jwt\.jwksUri cannot be fetched: it took longer than 0\.05 s/,
  ])
})
