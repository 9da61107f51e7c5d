import { getJson } from '../cli/http-get.js'
import { nextCommand } from '../cli/next-command.js'
import type { ResultOf } from '../protocol/contract.js'
import type { gatewayHealth } from '../protocol/methods/gateway.js'
import { VERSION } from '../version.js'
import { type Check, error, info, type Observation, ok, reasonOf, warning } from './check.js'

type Health = ResultOf<typeof gatewayHealth>

const TIMEOUT_MS = 5_000

export const gateway: Check = {
  name: 'gateway',
  async run({ running, target }) {
    if (running === null || target === null) return [info('It is not running.', nextCommand('gateway start'))]
    let health: Health
    try {
      health = (await getJson(target, '/health', TIMEOUT_MS)) as Health
      if (typeof health?.checks !== 'object') throw new Error('the answer is none of a gateway')
    } catch (thrown) {
      const message = `Process ${running.pid} does not answer at ${running.url}: ${reasonOf(thrown)}`
      return [error(message, `${nextCommand('gateway stop')}; ${nextCommand('gateway start')}`)]
    }
    return judgeHealth(health, running.pid)
  },
}

export function judgeHealth({ version, checks }: Health, pid: number): Observation[] {
  const found: Observation[] = []
  for (const [name, { status, message = status }] of Object.entries(checks)) {
    if (status === 'failing')
      found.push(error(`${name}: ${message}`, `${nextCommand('gateway status')}   says how it is`))
    if (status === 'degraded')
      found.push(warning(`${name}: ${message}`, `${nextCommand('gateway status')}   says how it is`))
  }
  if (version !== VERSION) {
    const message = `Version ${version} is running, and ${VERSION} is installed.`
    found.push(warning(message, `${nextCommand('gateway stop')}; ${nextCommand('gateway start')}`))
  }
  return found.length > 0
    ? found
    : [ok(`It runs (process ${pid}, version ${version}), and every check of it is green.`)]
}
