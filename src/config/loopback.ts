import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
// The IPv4 addresses in their IPv6 form, as a dual-stack socket reports them.
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6')

/**
 * Whether a bind address, a peer's address or the host of a `Host` header can only be this machine: 127.0.0.0/8, `::1`
 * (with or without brackets) or `localhost`. Any other name says no, whatever it resolves to today.
 */
export function isLoopbackHost(host: string): boolean {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const version = isIP(bare)
  if (version === 0) return host.toLowerCase() === 'localhost'
  return loopback.check(bare, version === 4 ? 'ipv4' : 'ipv6')
}
