import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { clientAddress } from '../../src/auth/client-address.js'
import { trustOf } from '../../src/config/proxies.js'

function addressOf(peer: string, forwarded: string | undefined, trustProxy: boolean | string[]): string {
  const message = { socket: { remoteAddress: peer }, headers: { 'x-forwarded-for': forwarded } }
  return clientAddress(message as unknown as IncomingMessage, trustOf(trustProxy))
}

t.test('without a trusted proxy the client is the peer, whatever it says', (t) => {
  t.equal(addressOf('192.0.2.1', '203.0.113.9', false), '192.0.2.1')
  t.equal(addressOf('192.0.2.1', '203.0.113.9', ['127.0.0.1']), '192.0.2.1')
  t.equal(addressOf('::ffff:192.0.2.1', undefined, false), '192.0.2.1')
  t.end()
})

t.test('a trusted proxy names its client; what stood before that is the client’s own word', (t) => {
  for (const trustProxy of [true, ['127.0.0.1']]) {
    t.equal(addressOf('127.0.0.1', '192.0.2.1', trustProxy), '192.0.2.1')
    t.equal(addressOf('127.0.0.1', '203.0.113.9, 192.0.2.1', trustProxy), '192.0.2.1')
    t.equal(addressOf('::ffff:127.0.0.1', '10.0.0.1,2001:db8::1', trustProxy), '2001:db8::1')
  }
  t.end()
})

t.test('of several proxies each must be on the list', (t) => {
  const forwarded = '203.0.113.9, 192.0.2.1, 10.0.0.2'
  t.equal(addressOf('127.0.0.1', forwarded, ['loopback', '10.0.0.0/8']), '192.0.2.1')
  t.equal(addressOf('127.0.0.1', forwarded, ['loopback']), '10.0.0.2')
  t.equal(addressOf('127.0.0.1', '10.0.0.3, 10.0.0.2', ['loopback', '10.0.0.0/8']), '10.0.0.3')
  t.end()
})

t.test('what is no address is nobody’s', (t) => {
  for (const odd of ['unknown', '', ' , ', 'x'.repeat(10_000), '203.0.113.9, <script>']) {
    t.equal(addressOf('127.0.0.1', odd, true), '127.0.0.1')
  }
  t.end()
})
