import { isIP } from 'node:net'
import { getJson } from '../cli/http-get.js'
import { nextCommand } from '../cli/next-command.js'
import type { Target } from '../cli/target.js'
import { isLoopbackHost } from '../config/loopback.js'
import { CLOSE } from '../protocol/close-codes.js'
import {
  type Check,
  type DoctorContext,
  error,
  info,
  type Observation,
  ok,
  reasonOf,
  warning,
} from './check.js'
import { lines } from './proxy-lines.js'
import { CLAIMED, type Probe, probe } from './proxy-probe.js'

const TIMEOUT_MS = 5_000

export const proxy: Check = {
  name: 'proxy',
  async run(context, signal) {
    const { loaded, publicTarget } = context
    const found: Observation[] = []
    if (loaded !== null && loaded.config.basePath !== '' && loaded.config.trustProxy === false) {
      const message =
        'basePath is set, and trustProxy is not: behind a proxy all clients share its address and its rate limits.'
      found.push(warning(message, 'trustProxy: ["127.0.0.1"], or where the proxy is'))
    }
    if (publicTarget !== null) return [...found, ...(await throughProxy(context, publicTarget, signal))]
    const behind = loaded !== null && (loaded.config.basePath !== '' || loaded.config.trustProxy !== false)
    if (found.length > 0) return found
    return [
      behind
        ? info(
            'Whether a proxy passes everything on shows through it.',
            nextCommand('doctor --url https://gateway.example'),
          )
        : ok('None is configured.'),
    ]
  },
}

async function throughProxy(
  context: DoctorContext,
  target: Target,
  signal: AbortSignal,
): Promise<Observation[]> {
  try {
    const health = (await getJson(target, '/health', TIMEOUT_MS)) as Health
    if (health?.error !== undefined) return [judgeRefusal(health.error.message, target)]
    if (typeof health?.checks !== 'object') throw new Error('the answer is none of a gateway')
  } catch (thrown) {
    const message = `${target.url}/health does not answer as a gateway: ${reasonOf(thrown)}`
    return [
      error(
        message,
        `${nextCommand('gateway status')}   says whether it runs; then the upstream and the path of the proxy`,
      ),
    ]
  }
  try {
    return judgeProbe(await probe(target, signal), target, context)
  } catch (thrown) {
    return [error(`${target.wsUrl} takes no WebSocket: ${reasonOf(thrown)}`, lines('upgrade'))]
  }
}

interface Health {
  readonly checks?: object
  readonly error?: { readonly message: string }
}

function judgeProbe(found: Probe, target: Target, context: DoctorContext): Observation[] {
  if (found.outcome === 'refused') {
    const message = `${target.wsUrl} answers ${found.status} and not with a WebSocket: the proxy does not pass Upgrade on.`
    return [error(message, lines('upgrade'))]
  }
  if (found.outcome === 'open') {
    return [ok(`${target.wsUrl}: WebSocket, Host and Origin come through.`), ...judgeAddress(found, context)]
  }
  const { code, reason } = found
  if (code === CLOSE.ORIGIN_REFUSED.code) return [judgeRefusal(reason, target)]
  if (code !== CLOSE.UNAUTHORIZED.code) {
    return [
      error(
        `${target.wsUrl} closes with ${code}: ${reason}`,
        `${nextCommand('gateway status')}   says how it is`,
      ),
    ]
  }
  return [
    ok(`${target.wsUrl}: WebSocket, Host and Origin come through.`),
    info(
      'Whether addresses of clients arrive only a token with the scope admin can ask.',
      `LURKBOT_TOKEN=… ${nextCommand(`doctor --url ${target.url}`)}`,
    ),
  ]
}

/** In the words of the gateway (see `auth/origin.ts`). */
function judgeRefusal(reason: string, target: Target): Observation {
  const { hostname } = new URL(target.url)
  if (/^Origin/.test(reason)) {
    return error(
      `The gateway refuses pages of ${target.url}: the proxy does not pass Host on. (${reason})`,
      lines('host'),
    )
  }
  if (/^Host/.test(reason)) {
    return error(`The gateway refuses the name ${hostname}: ${reason}`, `auth.allowedHosts: ["${hostname}"]`)
  }
  return error(
    `The gateway refuses what comes through ${target.url}: ${reason}`,
    `${nextCommand('gateway status')}   says how it is`,
  )
}

function judgeAddress(
  { from, seen }: Extract<Probe, { outcome: 'open' }>,
  { loaded }: DoctorContext,
): Observation[] {
  if (seen === null) {
    const message = 'Whether addresses of clients arrive only a token with the scope admin can ask.'
    return [info(message, `LURKBOT_TOKEN=… ${nextCommand('doctor --url …')}`)]
  }
  if (seen === CLAIMED) {
    const message =
      'A client can claim any address: the proxy passes on the X-Forwarded-For that a client sends.'
    return [warning(message, lines('address'))]
  }
  if (seen === from) return [ok('The addresses of clients arrive.')]
  const trusts = loaded === null || loaded.config.trustProxy !== false
  const cause = trusts
    ? 'X-Forwarded-For is missing, or comes from an address that trustProxy does not name'
    : 'trustProxy is false'
  const message = `The gateway believes that ${from} is ${seen}: ${cause}. All clients share its rate limits.`
  if (isIP(seen) && !isPrivate(seen)) {
    return [info(`The gateway sees this machine (${from}) as ${seen}: right if that is your public address.`)]
  }
  return [warning(message, lines('address'))]
}

/** RFC 1918, RFC 4193 and loopback: where proxies are. */
const isPrivate = (address: string): boolean =>
  isLoopbackHost(address) || /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd])/.test(address)
