import t from 'tap'
import { localAddress, parseAddress } from '../../src/cli/address.js'

t.test('a bind to every interface is reached through loopback', async (t) => {
  const plain = { port: 1, tls: false, basePath: '' }
  t.equal(localAddress({ host: '127.0.0.1', ...plain }).wsUrl, 'ws://127.0.0.1:1/ws')
  t.equal(localAddress({ host: '0.0.0.0', ...plain }).url, 'http://127.0.0.1:1')
  t.equal(localAddress({ host: '::', ...plain }).url, 'http://[::1]:1')
  t.same(localAddress({ host: 'example.org', port: 2, tls: true, basePath: '/gw' }), {
    url: 'https://example.org:2/gw',
    wsUrl: 'wss://example.org:2/gw/ws',
  })
})

t.test('an address may be given as http or ws, with or without /ws', async (t) => {
  const expected = { url: 'http://127.0.0.1:18789', wsUrl: 'ws://127.0.0.1:18789/ws' }
  for (const text of ['ws://127.0.0.1:18789', 'ws://127.0.0.1:18789/ws', 'http://127.0.0.1:18789/']) {
    t.same(parseAddress(text), expected, text)
  }
  t.same(parseAddress('wss://example.org/gw/ws'), {
    url: 'https://example.org/gw',
    wsUrl: 'wss://example.org/gw/ws',
  })
})

t.test('an address that is none, or carries credentials, is refused with what was expected', async (t) => {
  for (const text of ['nonsense', 'ftp://127.0.0.1', '']) {
    t.throws(() => parseAddress(text), { exitCode: 64, message: /expected an address such as/ })
  }
  for (const text of ['ws://user:pass@127.0.0.1', 'ws://127.0.0.1/?token=secret']) {
    t.throws(() => parseAddress(text), { exitCode: 64, message: /do not belong in the address/ })
  }
})
