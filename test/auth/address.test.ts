import t from 'tap'
import { addressKey } from '../../src/auth/address.js'
import fc from '../helpers/properties.js'

t.test('IPv4 addresses count one by one, in either form', (t) => {
  t.equal(addressKey('192.0.2.7'), '192.0.2.7')
  t.equal(addressKey('::ffff:192.0.2.7'), '192.0.2.7')
  t.equal(addressKey('::FFFF:c000:207'), '192.0.2.7')
  t.end()
})

t.test('IPv6 addresses count by their /64', (t) => {
  t.equal(addressKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(addressKey('2001:0DB8:1:2::'), '2001:db8:1:2::/64')
  t.equal(addressKey('2001:db8::1'), '2001:db8:0:0::/64')
  t.equal(addressKey('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(addressKey('::1'), '0:0:0:0::/64')
  t.equal(addressKey('2001:db8:1:2::192.0.2.1'), '2001:db8:1:2::/64')
  t.not(addressKey('2001:db8:1:3::1'), addressKey('2001:db8:1:2::1'))
  t.end()
})

t.test('all addresses of a /64 have one key, in every spelling', (t) => {
  const network = fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 1, max: 0xffff })))
  const spelling = (groups: number[]) => {
    const full = groups.map((group) => group.toString(16).padStart(4, '0')).join(':')
    return [full, new URL(`http://[${full}]`).hostname.slice(1, -1)]
  }
  fc.assert(
    fc.property(network, fc.ipV6(), (groups, other) => {
      const host = new URL(`http://[${other}]`).hostname.slice(1, -1)
      const rest = host.includes('::')
        ? [0, 0, 0, 1]
        : host
            .split(':')
            .slice(4)
            .map((g) => Number.parseInt(g, 16))
      const keys = [...spelling([...groups, ...rest]), ...spelling([...groups, 0, 0, 0, 0])].map(addressKey)
      return new Set(keys).size === 1
    }),
    { numRuns: 200 },
  )
  t.end()
})

t.test('what is no address counts as it is', (t) => {
  t.equal(addressKey('unknown'), 'unknown')
  t.equal(addressKey(''), '')
  t.end()
})
