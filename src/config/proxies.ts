import { BlockList, isIP } from 'node:net'
import type { Config } from './schema.js'

/** Whether the peer at this address, `hop` proxies away (0: the one that connected), is believed about whom it speaks for. */
export type Trust = (address: string | undefined, hop: number) => boolean

interface Range {
  readonly address: string
  readonly prefix: number
  readonly family: 'ipv4' | 'ipv6'
}

/** Names for ranges, as other servers have them. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/** What an entry of `trustProxy` stands for: an address, a CIDR range or a name; null: none of these. */
export function parseProxies(text: string): readonly Range[] | null {
  const ranges = (Object.hasOwn(NAMED, text) ? NAMED[text]! : [text]).map(parseRange)
  return ranges.every((range) => range !== null) ? ranges : null
}

/**
 * `true` believes whoever connected, and nobody beyond: what a client says of itself stands further left in
 * `X-Forwarded-For` than what the proxy adds. A list believes each hop that is on it.
 */
export function trustOf(trustProxy: Config['trustProxy']): Trust {
  if (typeof trustProxy === 'boolean') return trustProxy ? (_address, hop) => hop === 0 : () => false
  const trusted = new BlockList()
  for (const { address, prefix, family } of trustProxy.flatMap((text) => parseProxies(text) ?? [])) {
    trusted.addSubnet(address, prefix, family)
  }
  return (address = '') => {
    const bare = plainAddress(address)
    return bare !== null && trusted.check(bare, isIP(bare) === 4 ? 'ipv4' : 'ipv6')
  }
}

/**
 * An address without brackets, port and zone, and IPv4 as such; null: it is none. Some proxies add the port
 * (`192.0.2.1:4711`, `[2001:db8::1]:4711`), and a socket for both families has IPv4 in the form of IPv6.
 */
export function plainAddress(text: string): string | null {
  const [, inBrackets, ipv4] = /^\[([^\]]+)\](?::\d+)?$|^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text) ?? []
  const bare = (inBrackets ?? ipv4 ?? text).replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(bare) === 0 ? null : bare
}

/** A range of everything would believe everyone about everything: `0.0.0.0/0` is none. */
function parseRange(text: string): Range | null {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  if (version === 0 || address.includes('%')) return null
  const all = version === 4 ? 32 : 128
  const prefix = bits === undefined ? all : Number(bits)
  return prefix < 1 || prefix > all ? null : { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' }
}
