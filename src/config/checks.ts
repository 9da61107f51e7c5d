import { isIPv6 } from 'node:net'
import { found } from './expectation.js'
import { isLoopbackHost } from './loopback.js'
import type { Path } from './paths.js'
import { parseProxies } from './proxies.js'
import type { Config } from './schema.js'
import { didYouMean } from './suggest.js'

interface Finding {
  readonly path: Path
  readonly message: string
}

interface Check {
  /** The keys that it looks at; it is left out while one of them has a problem of its own. */
  readonly needs: readonly (keyof Config)[]
  find(config: Config): Iterable<Finding>
}

/** What a schema cannot say: rules across keys. */
export const CHECKS: readonly Check[] = [
  { needs: ['host'], find: host },
  { needs: ['tls'], find: tls },
  { needs: ['host', 'auth'], find: openBind },
  { needs: ['trustProxy'], find: proxies },
  { needs: ['auth'], find: tokens },
  { needs: ['auth'], find: jwksUri },
  { needs: ['agents', 'defaultAgent', 'routing'], find: agentNames },
  { needs: ['routing'], find: emptyRules },
]

function* host(config: Config): Generator<Finding> {
  const { host } = config
  const plain = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?$/.test(host)
  if (plain || isIPv6(host)) return
  const message = `expected an address or a host name, without scheme, port or brackets, found ${found(host, false)}`
  yield { path: ['host'], message }
}

function* tls(config: Config): Generator<Finding> {
  if (!config.tls.enabled) return
  const names = { cert: 'a certificate', key: 'a private key' } as const
  for (const key of ['cert', 'key'] as const) {
    if (config.tls[key] === undefined) {
      yield {
        path: ['tls', key],
        message: `expected the path of ${names[key]} (tls.enabled is true), found nothing`,
      }
    }
  }
}

/** Spec §5: a bind beyond loopback never runs open. */
function* openBind(config: Config): Generator<Finding> {
  if (config.auth.enabled !== false || isLoopbackHost(config.host)) return
  yield {
    path: ['auth', 'enabled'],
    message: `expected true, or a loopback host such as 127.0.0.1: ${config.host} can be reached from other machines; found false`,
  }
}

function* proxies({ trustProxy }: Config): Generator<Finding> {
  if (typeof trustProxy === 'boolean') return
  for (const [index, text] of trustProxy.entries()) {
    if (parseProxies(text) !== null) continue
    const message = `expected an address, a range such as 10.0.0.0/8, or loopback, linklocal or uniquelocal, found ${JSON.stringify(text)}`
    yield { path: ['trustProxy', index], message }
  }
}

function* tokens(config: Config): Generator<Finding> {
  const values = new Map<string, number>()
  const names = new Map<string, number>()
  for (const [index, entry] of config.auth.tokens.entries()) {
    const { token, name } = typeof entry === 'string' ? { token: entry, name: undefined } : entry
    const sameToken = values.get(token)
    if (sameToken === undefined) values.set(token, index)
    else yield { path: ['auth', 'tokens', index], message: `is the same token as auth.tokens[${sameToken}]` }
    if (name === undefined) continue
    const sameName = names.get(name)
    if (sameName === undefined) names.set(name, index)
    else {
      yield {
        path: ['auth', 'tokens', index, 'name'],
        message: `expected a name of its own, found ${JSON.stringify(name)}, the name of auth.tokens[${sameName}]`,
      }
    }
  }
}

/** Whoever can change the keys on their way can sign anything. */
function* jwksUri({ auth }: Config): Generator<Finding> {
  const { jwksUri } = auth.jwt ?? {}
  if (jwksUri === undefined) return
  const url = URL.canParse(jwksUri) ? new URL(jwksUri) : null
  if (url?.protocol === 'https:') return
  if (url?.protocol === 'http:' && isLoopbackHost(url.hostname)) return
  const message = `expected an https address, or http on loopback, found ${JSON.stringify(jwksUri)}`
  yield { path: ['auth', 'jwt', 'jwksUri'], message }
}

function* agentNames(config: Config): Generator<Finding> {
  const known = new Set(['echo', ...Object.keys(config.agents)])
  const named: [Path, string][] = [
    [['defaultAgent'], config.defaultAgent],
    ...config.routing.flatMap(({ agent }, index): [Path, string][] =>
      agent === undefined ? [] : [[['routing', index, 'agent'], agent]],
    ),
  ]
  for (const [path, agent] of named) {
    if (known.has(agent)) continue
    const message = `expected an agent (${[...known].join(', ')}), found ${JSON.stringify(agent)}${didYouMean(agent, known)}`
    yield { path, message }
  }
}

function* emptyRules(config: Config): Generator<Finding> {
  for (const [index, { agent, queueMode, mention }] of config.routing.entries()) {
    if (mention !== undefined && queueMode !== undefined) {
      const message = 'expected no queueMode beside a mention: it is one for the whole session'
      yield { path: ['routing', index, 'queueMode'], message }
    }
    if (agent !== undefined || queueMode !== undefined) continue
    yield { path: ['routing', index], message: 'expected an agent, a queueMode or both, found neither' }
  }
}
