import type { IncomingHttpHeaders } from 'node:http'
import { isLoopbackHost } from '../config/loopback.js'
import { ConfigError, type Problem } from '../config/problems.js'
import type { Config } from '../config/schema.js'

export interface OriginPolicyOptions {
  /** The address that the gateway listens on. */
  readonly bindHost: string
  /** Browser origins besides the same host and loopback, such as `https://app.example`. */
  readonly allowedOrigins: readonly string[]
  /** Host names besides loopback names that may be asked for on a loopback bind; ports are not compared. */
  readonly allowedHosts: readonly string[]
}

export interface OriginRequest {
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, as they came: `headers` keeps only the first of several Hosts. */
  readonly rawHeaders?: readonly string[]
  /** The host that the client asked for: `X-Forwarded-Host` of a proxy that is believed, else `Host`. */
  readonly host?: string
}

export interface OriginPolicy {
  /** Why a request is refused (one constant sentence, at most 123 bytes); null: it is not. */
  check(request: OriginRequest): { readonly reason: string } | null
}

const REFUSED = {
  host: { reason: 'Host is not a loopback name; see auth.allowedHosts.' },
  malformedHost: { reason: 'Host is malformed or given more than once.' },
  nullOrigin: { reason: 'Origin null is refused: serve the page over http or https.' },
  origin: { reason: 'Origin is neither the same host, loopback nor listed; see auth.allowedOrigins.' },
} as const

/** The policy of a configuration. @throws ConfigError */
export function originPolicyOf({ host, auth }: Pick<Config, 'host' | 'auth'>): OriginPolicy {
  const { allowedOrigins, allowedHosts } = auth
  return createOriginPolicy({ bindHost: host, allowedOrigins, allowedHosts })
}

/**
 * Keeps foreign web pages out (spec §5), on upgrades and on plain HTTP alike. A page of another origin is refused by its
 * `Origin`. A page whose name was made to resolve to this machine (DNS rebinding) has an `Origin` that looks like the
 * same host, so on a loopback bind the `Host` must be one that no foreign name server answers for. Clients other than
 * browsers send no `Origin`, and one that sends no `Host` either (HTTP/1.0) is no browser.
 *
 * @throws ConfigError naming each entry of the lists that is not an origin or a host.
 */
export function createOriginPolicy(options: OriginPolicyOptions): OriginPolicy {
  const problems: Problem[] = []
  const origins = new Set(
    options.allowedOrigins.map((text, index) => {
      const origin = parseOrigin(text.replace(/\/$/, ''))?.canonical
      if (origin === undefined) {
        const message = `expected an origin such as https://app.example, found ${JSON.stringify(text)}`
        problems.push({ path: `auth.allowedOrigins[${index}]`, message })
      }
      return origin
    }),
  )
  const hosts = new Set(
    options.allowedHosts.map((text, index) => {
      const host = parseAuthority(text)?.host
      if (host === undefined) {
        const message = `expected a host name such as gateway.internal, found ${JSON.stringify(text)}`
        problems.push({ path: `auth.allowedHosts[${index}]`, message })
      }
      return host
    }),
  )
  if (problems.length > 0) throw new ConfigError(problems)
  const onLoopback = isLoopbackHost(options.bindHost)

  const judge = (text: string): JudgedHost => {
    const host = parseAuthority(text)?.host
    if (host === undefined) return { text, host, refusal: REFUSED.malformedHost }
    const isAllowed = !onLoopback || isLoopbackName(host) || hosts.has(host)
    return { text, host, refusal: isAllowed ? null : REFUSED.host }
  }
  /** Clients ask for the same name again and again. */
  let last: JudgedHost = judge(options.bindHost)

  return {
    check({ headers, rawHeaders, host: asked = headers.host }) {
      let host: string | undefined
      if (headers.host !== undefined && countHosts(rawHeaders) > 1) return REFUSED.malformedHost
      // Both: a page that was made to resolve to this machine can set X-Forwarded-Host, but no Host.
      for (const text of headers.host === asked ? [asked] : [headers.host, asked]) {
        if (text === undefined || (text === '' && headers.host === undefined)) continue
        if (text !== last.text) last = judge(text)
        if (last.refusal !== null) return last.refusal
        host = last.host
      }

      if (headers.origin === undefined) return null
      if (headers.origin === 'null') return REFUSED.nullOrigin
      const origin = parseOrigin(headers.origin)
      if (origin === null) return REFUSED.origin
      if (origins.has(origin.canonical)) return null
      // The host of another scheme (an extension, an app shell) is not a name in the network.
      const isWeb = origin.scheme === 'http' || origin.scheme === 'https'
      return isWeb && (origin.host === host || isLoopbackName(origin.host)) ? null : REFUSED.origin
    },
  }
}

interface JudgedHost {
  readonly text: string
  readonly host: string | undefined
  readonly refusal: { readonly reason: string } | null
}

interface Authority {
  /** Lower case, without brackets' variants, trailing dot or port: two spellings of one host are equal. */
  readonly host: string
  /** With a leading colon, or empty. */
  readonly port: string
}

/** `host`, `host:port`, `[v6]` or `[v6]:port`; null: something else. */
function parseAuthority(text: string): Authority | null {
  const match = /^(\[[0-9a-f:.]+\]|[^\s:/?#@\\[\],%]+)(?::(\d{0,5}))?$/i.exec(text)
  if (match === null) return null
  try {
    const host = new URL(`http://${text}`).hostname.replace(/\.$/, '')
    return host === '' ? null : { host, port: match[2] ? `:${Number(match[2])}` : '' }
  } catch {
    return null
  }
}

const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: ':80', https: ':443' }

function parseOrigin(text: string): { scheme: string; host: string; canonical: string } | null {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.+)$/i.exec(text)
  const authority = match === null ? null : parseAuthority(match[2]!)
  if (match === null || authority === null) return null
  const scheme = match[1]!.toLowerCase()
  const port = authority.port === DEFAULT_PORTS[scheme] ? '' : authority.port
  return { scheme, host: authority.host, canonical: `${scheme}://${authority.host}${port}` }
}

/** No name server answers for names below `localhost` (RFC 6761 §6.3). */
function isLoopbackName(host: string): boolean {
  return isLoopbackHost(host) || host.endsWith('.localhost')
}

function countHosts(rawHeaders: readonly string[] = []): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === 'host') count++
  }
  return count
}
