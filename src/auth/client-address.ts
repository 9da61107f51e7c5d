import type { IncomingMessage } from 'node:http'
import { plainAddress, type Trust } from '../config/proxies.js'

/**
 * Who asks: the peer, or, where that is a proxy which is believed, the one that it says it speaks for. `X-Forwarded-For`
 * is read from its end: whom the proxy saw stands there, and what a client said of itself before that. An entry that is no
 * address is nobody's: the address is then that of the proxy that passed it on.
 */
export function clientAddress({ socket, headers }: IncomingMessage, trust: Trust): string {
  let address = plainAddress(socket.remoteAddress ?? '') ?? ''
  if (headers['x-forwarded-for'] === undefined) return address
  const forwarded = [headers['x-forwarded-for']].flat().join(',')
  if (forwarded === '') return address
  const hops = forwarded.split(',')
  for (let hop = 0; hop < hops.length && trust(address, hop); hop++) {
    const next = plainAddress(hops[hops.length - 1 - hop]!.trim())
    if (next === null) break
    address = next
  }
  return address
}
