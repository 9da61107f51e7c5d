import { generateKeyPairSync } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { loadTlsMaterial, secureContextOptions } from '../../src/auth/tls-material.js'
import { ConfigError, type Problem } from '../../src/config/problems.js'
import { type Certificate, createCertificate } from './certificates.js'

async function write(t: Test, { cert, key }: Certificate, mode = 0o600) {
  const baseDir = t.testdir()
  await writeFile(join(baseDir, 'cert.pem'), cert)
  await writeFile(join(baseDir, 'key.pem'), key)
  await chmod(join(baseDir, 'key.pem'), mode)
  return { cert: 'cert.pem', key: 'key.pem', baseDir }
}

async function problemsOf(files: Parameters<typeof loadTlsMaterial>[0]): Promise<readonly Problem[]> {
  const error: unknown = await loadTlsMaterial(files).catch((error) => error)
  if (error instanceof ConfigError) return error.problems
  throw error
}

t.test('a certificate and its key are loaded, relative to the configuration', async (t) => {
  const pair = await createCertificate()
  const files = await write(t, pair)
  const material = await loadTlsMaterial(files)
  t.match(material, { ...pair, certPath: join(files.baseDir, 'cert.pem'), warnings: [] })
  t.ok(Math.abs(material.expiresAt - Date.now() - 365 * 86_400_000) < 60_000)
  t.strictSame(secureContextOptions(material), { ...pair, minVersion: 'TLSv1.2' })
})

t.test('a chain is checked to its end, and its first certificate is the one that counts', async (t) => {
  const leaf = await createCertificate({ toDays: 50 })
  const issuer = await createCertificate({ name: 'issuer' })
  const material = await loadTlsMaterial(
    await write(t, { cert: `${leaf.cert}\n${issuer.cert}`, key: leaf.key }),
  )
  t.ok(material.expiresAt < Date.now() + 51 * 86_400_000)
  const damaged = issuer.cert.replace(/\n[A-Za-z0-9+/]{10}/, '\nAAAAAAAAAA')
  t.match(await problemsOf(await write(t, { cert: `${leaf.cert}\n${damaged}`, key: leaf.key })), [
    { path: 'tls.cert', message: /certificate 2 of 2 does not parse/ },
  ])
})

t.test('each thing that is wrong is named with its file, all at once', async (t) => {
  const baseDir = t.testdir()
  t.match(await problemsOf({ cert: 'no.pem', key: 'none.pem', baseDir }), [
    { path: 'tls.cert', source: join(baseDir, 'no.pem'), message: /PEM file that can be read: ENOENT/ },
    { path: 'tls.key', source: join(baseDir, 'none.pem'), message: /ENOENT/ },
  ])
  await mkdir(join(baseDir, 'folder'))
  t.match(await problemsOf({ cert: 'folder', key: 'folder', baseDir }), [
    { path: 'tls.cert' },
    { path: 'tls.key' },
  ])
})

t.test('what is not a certificate or key, or not one pair, is refused', async (t) => {
  const pair = await createCertificate()
  const other = await createCertificate()
  const weak = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const encrypted = weak.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  }) as string
  const damagedKey = pair.key.replace(/\n[A-Za-z0-9+/]{10}/, '\nAAAAAAAAAA')
  const cases: [name: string, pair: Certificate, path: string, message: RegExp][] = [
    ['swapped', { cert: pair.key, key: pair.cert }, 'tls.cert', /found no CERTIFICATE block/],
    ['empty key', { ...pair, key: '' }, 'tls.key', /PEM private key, found none/],
    ['damaged key', { ...pair, key: damagedKey }, 'tls.key', /found a damaged one/],
    ['encrypted key', { ...pair, key: encrypted }, 'tls.key', /without a passphrase/],
    [
      'another key',
      { cert: pair.cert, key: other.key },
      'tls.key',
      /private key of the certificate in .*cert\.pem/,
    ],
  ]
  for (const [name, files, path, message] of cases) {
    const problems = await problemsOf(await write(t, files))
    const found = problems.find((problem) => problem.path === path)
    t.match(found, { path, message }, name)
    t.notMatch(JSON.stringify(problems), /BEGIN|AAAA/, 'nothing of the key is shown')
  }
})

t.test('a certificate must be valid today', async (t) => {
  const expired = await write(t, await createCertificate({ toDays: -1 }))
  t.match(await problemsOf(expired), [{ path: 'tls.cert', message: /expired on 20\d\d-/ }])
  const future = await write(t, await createCertificate({ fromDays: 2 }))
  t.match(await problemsOf(future), [{ path: 'tls.cert', message: /not valid before 20\d\d-/ }])
})

t.test('a certificate that ends soon and a key that everyone may read are warned about', async (t) => {
  const ending = await createCertificate({ toDays: 5 })
  const { warnings } = await loadTlsMaterial(await write(t, ending, 0o644))
  t.match(warnings, [/cert\.pem expires soon/, /key\.pem may be read by every user \(mode 644\)/])
  const shortLived = await createCertificate({ fromDays: -1, toDays: 5 })
  t.strictSame(
    (await loadTlsMaterial(await write(t, shortLived, 0o640))).warnings,
    [],
    'six days are its lifetime',
  )
})

t.test('what only TLS itself refuses is said too', async (t) => {
  const weak = generateKeyPairSync('rsa', {
    modulusLength: 512,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const { cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyPair: weak,
    algorithm: 'sha256',
  })
  t.match(await problemsOf(await write(t, { cert, key: weak.privateKey })), [
    { path: 'tls.cert', message: /certificate and key that TLS can use: .*too small/ },
  ])
})
