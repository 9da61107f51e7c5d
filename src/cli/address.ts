import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'

/** Where a gateway is, for clients: `url` for HTTP, `wsUrl` for WebSockets. */
export interface Address {
  readonly url: string
  readonly wsUrl: string
}

/** The address for clients on the same machine: a bind to every interface is reached through loopback. */
export function localAddress(bind: { host: string; port: number; tls: boolean; basePath: string }): Address {
  const host = bind.host === '0.0.0.0' ? '127.0.0.1' : bind.host === '::' ? '::1' : bind.host
  const authority = `${host.includes(':') ? `[${host}]` : host}:${bind.port}`
  return {
    url: `http${bind.tls ? 's' : ''}://${authority}${bind.basePath}`,
    wsUrl: `ws${bind.tls ? 's' : ''}://${authority}${bind.basePath}/ws`,
  }
}

/** What was given as `--url`: http, https, ws or wss, with or without the `/ws` at its end. */
export function parseAddress(text: string): Address {
  const url = URL.canParse(text) ? new URL(text) : null
  const scheme = url && /^(?:http|ws)(s?):$/.exec(url.protocol)
  if (url === null || !scheme) {
    throw new CliError(EXIT.USAGE, `--url '${text}': expected an address such as ws://127.0.0.1:18789`)
  }
  if (url.username || url.password || url.search) {
    const advice = 'Put the token into LURKBOT_TOKEN or a file for --token-file.'
    throw new CliError(EXIT.USAGE, '--url: credentials and parameters do not belong in the address', [advice])
  }
  const base = url.pathname.replace(/\/+$/, '').replace(/\/ws$/, '')
  return { url: `http${scheme[1]}://${url.host}${base}`, wsUrl: `ws${scheme[1]}://${url.host}${base}/ws` }
}
