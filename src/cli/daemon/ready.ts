import { setTimeout as delay } from 'node:timers/promises'
import { CliError } from '../cli-error.js'
import { EXIT } from '../exit-codes.js'
import { getJson } from '../http-get.js'
import { findRunning, type PidRecord } from '../pid-file.js'
import { findTarget } from '../target.js'
import type { Found } from './create-service.js'
import { serviceEnv } from './service-place.js'

const POLL_MS = 50
const STATUS_INTERVAL_MS = 1_000
const HEALTH_TIMEOUT_MS = 2_000
/** As TimeoutStartSec= of the unit. */
const READY_TIMEOUT_MS = 90_000

/** Waits until the gateway of a service that was started answers that it is ready. Rejects with why it does not. */
export async function waitForReady({ place, service }: Found): Promise<PidRecord> {
  const deadline = performance.now() + READY_TIMEOUT_MS
  let askAt = performance.now() + STATUS_INTERVAL_MS
  for (;;) {
    const running = findRunning(place.home)
    if (running !== null && (await isReady(serviceEnv(place, process.env)))) return running
    if (performance.now() > askAt) {
      const { state, detail, exitCode } = await service.status()
      if (state === 'failed') throw notReady(exitCode ?? EXIT.FAILED, `has ended (${detail})`)
      askAt = performance.now() + STATUS_INTERVAL_MS
    }
    if (performance.now() > deadline) throw notReady(EXIT.FAILED, 'is not ready yet')
    await delay(POLL_MS)
  }

  function notReady(exitCode: CliError['exitCode'], what: string): CliError {
    return new CliError(exitCode, `The service ${service.name} was started and ${what}.`, [
      `${service.logCommand}   shows what it says`,
    ])
  }
}

async function isReady(env: NodeJS.ProcessEnv): Promise<boolean> {
  try {
    const body = (await getJson(await findTarget({}, env), '/health/ready', HEALTH_TIMEOUT_MS)) as {
      status?: string
    } | null
    return body !== null && body.status !== 'failing'
  } catch {
    return false
  }
}
