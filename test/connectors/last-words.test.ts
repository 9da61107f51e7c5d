import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import t, { type Test } from 'tap'
import { hearLastWords } from '../../src/connectors/last-words.js'
import { createCertificate } from '../auth/certificates.js'

/** Both ends of a connection. */
async function pair(t: Test, isEncrypted: boolean): Promise<{ ours: Socket; theirs: Socket }> {
  const server = isEncrypted ? createTlsServer(await createCertificate()) : createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const accepted = once(server, isEncrypted ? 'secureConnection' : 'connection')
  const ours = isEncrypted ? connectTls({ port, rejectUnauthorized: false }) : connect(port, '127.0.0.1')
  await once(ours, isEncrypted ? 'secureConnect' : 'connect')
  const [theirs] = (await accepted) as [Socket]
  t.teardown(() => {
    ours.destroy()
    theirs.destroy()
  })
  return { ours, theirs }
}

for (const isEncrypted of [false, true]) {
  t.test(
    `what a server said before it hung up is read, ${isEncrypted ? 'with' : 'without'} TLS`,
    async (t) => {
      const { ours, theirs } = await pair(t, isEncrypted)
      hearLastWords(ours)
      let heard = ''
      ours.setEncoding('utf8').on('data', (text) => {
        heard += text
      })
      const broken = once(ours, 'error')
      theirs.write('banned', () => {
        theirs.destroy()
        // All in one turn, so that nothing is read in between.
        for (const text of ['one', 'two', 'three']) ours.write(text)
      })
      t.match(await broken, [{ code: /EPIPE|ECONNRESET/ }])
      t.equal(heard, 'banned')
    },
  )
}

t.test('a server that does not end is not waited for', async (t) => {
  const { ours } = await pair(t, false)
  ours._write = (_chunk, _encoding, done) => done(new Error('EPIPE'))
  hearLastWords(ours)
  ours.resume().write('one')
  t.match(await once(ours, 'error'), [{ message: 'EPIPE' }])
})

t.test('a socket that is closed already says so at once', async (t) => {
  const { ours } = await pair(t, false)
  hearLastWords(ours)
  ours.destroy()
  await once(ours, 'close')
  const late = await new Promise((resolve) => ours.write('two', resolve))
  t.match(late, { code: 'ERR_STREAM_DESTROYED' })
})
