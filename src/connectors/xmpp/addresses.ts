import { resolveSrv } from 'node:dns/promises'
import { parseService, type XmppOptions } from './options.js'
import type { Address } from './socket.js'

/** Where the server may be, the best first: as configured, else what DNS names (RFC 6120 §3.2, XEP-0368). */
export async function findAddresses(
  options: XmppOptions,
  domain: string,
  ca: string | undefined,
): Promise<Address[]> {
  const tls = { domain, ca, rejectUnauthorized: options.rejectUnauthorized }
  const service = options.service === undefined ? null : parseService(options.service)
  if (service !== null) return [{ ...service, ...tls, ...(options.allowInsecure && { encryption: 'none' }) }]
  const [direct, startTls] = await Promise.all([
    records(`_xmpps-client._tcp.${domain}`),
    records(`_xmpp-client._tcp.${domain}`),
  ])
  const found = [
    ...direct.map((at) => ({ ...at, ...tls, encryption: 'direct' as const })),
    ...startTls.map((at) => ({ ...at, ...tls, encryption: 'starttls' as const })),
  ]
  return found.length > 0 ? found : [{ host: domain, port: 5222, encryption: 'starttls', ...tls }]
}

async function records(name: string): Promise<{ host: string; port: number }[]> {
  try {
    const found = await resolveSrv(name)
    return found
      .filter((record) => record.name !== '' && record.name !== '.')
      .sort((one, other) => one.priority - other.priority || other.weight - one.weight)
      .map((record) => ({ host: record.name, port: record.port }))
  } catch {
    // There is none, or DNS is down, which connecting will show.
    return []
  }
}
