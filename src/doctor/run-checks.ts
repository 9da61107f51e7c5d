import { agents } from './agents.js'
import { certificates } from './certificates.js'
import { type Check, type DoctorContext, type Finding, reasonOf, warning } from './check.js'
import { clock } from './clock.js'
import { configuration } from './configuration.js'
import { connectors } from './connectors.js'
import { gateway } from './gateway.js'
import { journal } from './journal.js'
import { node } from './node.js'
import { port } from './port.js'
import { proxy } from './proxy.js'
import { stateFolder } from './state-folder.js'
import { tokens } from './tokens.js'

export const CHECKS: readonly Check[] = [
  node,
  stateFolder,
  configuration,
  port,
  gateway,
  journal,
  certificates,
  tokens,
  clock,
  proxy,
  connectors,
  agents,
]

const TIMEOUT_MS = 10_000

/** All of them side by side; the findings are in the order of the checks. */
export async function runChecks(
  context: DoctorContext,
  checks: readonly Check[] = CHECKS,
  signal?: AbortSignal,
): Promise<Finding[]> {
  const found = await Promise.all(checks.map((check) => runCheck(check, context, signal)))
  return found.flat()
}

async function runCheck(check: Check, context: DoctorContext, outer?: AbortSignal): Promise<Finding[]> {
  const { name, timeoutMs = TIMEOUT_MS } = check
  const limit = new AbortController()
  const signal = outer === undefined ? limit.signal : AbortSignal.any([outer, limit.signal])
  // Not `AbortSignal.timeout`: the process would end before it where nothing else is going on.
  const timer = setTimeout(() => limit.abort(), timeoutMs)
  const ended = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  try {
    const observations = await Promise.race([Promise.resolve(check.run(context, signal)), ended])
    return observations.map((observation) => ({ check: name, ...observation }))
  } catch (thrown) {
    const why = limit.signal.aborted ? `it took longer than ${timeoutMs / 1000} s` : reasonOf(thrown)
    const remedy = 'Run it again; the other findings stand.'
    return [{ check: name, ...warning(`This could not be looked at: ${why}`, remedy) }]
  } finally {
    clearTimeout(timer)
  }
}
