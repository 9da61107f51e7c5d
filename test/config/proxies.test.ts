import t from 'tap'
import { plainAddress, trustOf } from '../../src/config/proxies.js'

t.test('a list trusts the addresses and ranges on it, at any hop', (t) => {
  const trust = trustOf(['192.0.2.1', '10.0.0.0/8', 'fd00::/8', 'loopback'])
  for (const address of ['192.0.2.1', '10.255.0.1', 'fd12::1', '127.0.0.9', '::1', '::ffff:192.0.2.1']) {
    t.ok(trust(address, 0), address)
    t.ok(trust(address, 3), address)
  }
  for (const address of ['192.0.2.2', '11.0.0.1', 'fe80::1', 'nonsense', '', undefined]) {
    t.notOk(trust(address, 0), String(address))
  }
  t.end()
})

t.test('true trusts whoever connects and nobody beyond, false and an empty list nobody', (t) => {
  t.ok(trustOf(true)('203.0.113.1', 0))
  t.notOk(trustOf(true)('203.0.113.1', 1))
  for (const nobody of [false, []]) t.notOk(trustOf(nobody)('127.0.0.1', 0))
  t.end()
})

t.test('an address is read with the port, brackets or zone that some proxies add', (t) => {
  const read: [string, string | null][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:4711', '192.0.2.1'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['unknown', null],
    ['_hidden', null],
    ['', null],
    ['192.0.2.1 ', null],
  ]
  for (const [text, expected] of read) t.equal(plainAddress(text), expected, text)
  t.end()
})
