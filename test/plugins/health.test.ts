import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { VERSION } from '../../src/version.js'
import { createCertificate, replaceFile } from '../auth/certificates.js'
import { startApp, temporaryFolder } from '../helpers/app.js'
import { until } from '../helpers/until.js'

async function startTls(t: Test) {
  const home = await temporaryFolder(t)
  const { cert, key } = await createCertificate()
  const files = { cert: join(home, 'cert.pem'), key: join(home, 'key.pem') }
  await replaceFile(files.cert, cert)
  await replaceFile(files.key, key)
  const { app } = await startApp(t, { tls: { enabled: true, ...files } }, { home })
  const metric = async (name: string) => {
    const { body } = await app.inject('/metrics')
    return body
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1]
  }
  return { app, cert, files, metric }
}

t.test('a renewal that cannot be used degrades the health, until one can', async (t) => {
  const { app, cert, files, metric } = await startTls(t)
  t.match(app.health.report().checks.certificate, { status: 'ok' })
  await replaceFile(files.cert, 'no certificate')
  const status = () => app.health.report().checks.certificate!.status
  await until(() => status() === 'degraded')
  t.equal(app.health.report().status, 'degraded', 'it is served with the one before')
  t.equal(await metric('gateway_ready'), '1')
  t.equal(await metric('gateway_health{check="certificate"}'), '0.5')
  await replaceFile(files.cert, cert)
  await until(() => status() === 'ok')
})

t.test('version, start and the end of the certificate are measured', async (t) => {
  const before = Date.now() / 1_000
  const { cert, metric } = await startTls(t)
  t.equal(await metric(`gateway_info{version="${VERSION}"}`), '1')
  const started = Number(await metric('gateway_start_time_seconds'))
  t.ok(started >= before && started <= Date.now() / 1_000)
  const ends = Date.parse(new X509Certificate(cert).validTo) / 1_000
  t.equal(Number(await metric('gateway_tls_certificate_expiry_timestamp_seconds')), ends)
})

t.test('without TLS nothing is said of a certificate', async (t) => {
  const { app } = await startApp(t)
  t.notOk('certificate' in app.health.report().checks)
  t.notMatch((await app.inject('/metrics')).body, 'gateway_tls_')
})
