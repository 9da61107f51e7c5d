import { isAuthRequired } from '../auth/auto-token.js'
import { nextCommand } from '../cli/next-command.js'
import { isLoopbackHost } from '../config/loopback.js'
import { formatProblem } from '../config/problems.js'
import type { Config } from '../config/schema.js'
import { type Check, error, info, type Observation, ok, warning } from './check.js'

/** What begins with these is told by a check of its own. */
const ELSEWHERE = /^tls\./

export const configuration: Check = {
  name: 'configuration',
  run({ problems, loaded }) {
    const wrong = problems
      .filter(({ path }) => !ELSEWHERE.test(path))
      .map((problem) =>
        error(formatProblem(problem), `${nextCommand('config check')}   says everything that is wrong`),
      )
    const risks = loaded === null ? [] : [...judgeRisks(loaded.config)]
    if (wrong.length > 0 || loaded === null) return [...wrong, ...risks]
    return [ok(`It is valid (${loaded.configFile ?? 'there is no file'}).`), ...risks]
  },
}

/** What is allowed, and seldom what was meant. */
export function* judgeRisks(config: Config): Generator<Observation> {
  const { host, auth, metrics, tls, trustProxy, basePath, log, journal, rateLimit, connectors } = config
  const open = !isLoopbackHost(host)
  const proxied = trustProxy !== false || basePath !== ''
  if (!isAuthRequired(config) && proxied) {
    const message = 'Authentication is off, and behind a proxy everyone who reaches that one is let in.'
    yield warning(message, `auth.enabled: true, and ${nextCommand('token new NAME')}`)
  }
  if (open && !tls.enabled) {
    const message = `Tokens travel unencrypted: ${host} is reached from other machines, and tls.enabled is false.`
    yield (proxied ? info : warning)(
      message,
      'tls: {enabled: true, cert: …, key: …}, or bind to 127.0.0.1 behind a proxy with TLS',
    )
  }
  if (open && !metrics.auth) {
    yield warning('/metrics is open to other machines.', 'metrics.auth: true')
  }
  if (trustProxy === true) {
    const message = 'trustProxy is true: any client may claim to come from any address.'
    yield warning(message, 'Name the proxies, such as trustProxy: ["127.0.0.1"].')
  }
  if (journal.type === 'memory') {
    yield warning(
      'journal.type is memory: what was accepted is gone with the process.',
      'journal.type: sqlite',
    )
  }
  if (log.level === 'trace' || log.level === 'debug') {
    yield info(`log.level is ${log.level}, which is for a search and not for every day.`, 'log.level: info')
  }
  const unlimited = (['http', 'upgrades', 'handshakeFailures', 'frames'] as const).filter(
    (name) => rateLimit[name].max === 0,
  )
  if (unlimited.length > 0) {
    const names = unlimited.map((name) => `rateLimit.${name}`).join(', ')
    yield (open ? warning : info)(
      `There is no limit: ${names}.`,
      'Remove the setting: the default is a bound.',
    )
  }
  if (auth.allowedHosts.length > 0 && open) {
    yield info('auth.allowedHosts has no effect: it is for a bind to loopback.', 'Remove it.')
  }
  for (const [name, { type, allow }] of Object.entries(connectors)) {
    if (!allow?.includes('*') || type === 'webhook' || type === 'mqtt') continue
    const message = `connectors.${name}.allow has '*': everyone on ${type} may write to the agent.`
    yield warning(message, 'Name who may, or leave it out: strangers are then paired first.')
  }
}
