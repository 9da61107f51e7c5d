import type { Static } from '@sinclair/typebox'
import type { HealthCheck, HealthReport } from '../protocol/index.js'

export type CheckResult = Static<typeof HealthCheck>
export type Report = Static<typeof HealthReport>

/** A check answers at once from what is known; it neither waits nor throws. */
export type Check = () => CheckResult

const SEVERITY = { ok: 0, degraded: 1, failing: 2 } as const

/** What `/health` and `gateway.health` tell (spec §7). */
export class Health {
  readonly #checks = new Map<string, Check>()

  /** Of a clock that nobody sets. */
  readonly #begunAt = performance.now()

  constructor(private readonly version: string) {}

  /** Whole milliseconds. */
  get uptimeMs(): number {
    return Math.round(performance.now() - this.#begunAt)
  }

  add(name: string, check: Check): void {
    this.#checks.set(name, check)
  }

  report(): Report {
    const checks = Object.fromEntries([...this.#checks].map(([name, check]) => [name, check()]))
    const statuses = Object.values(checks).map((check) => check.status)
    const status = statuses.reduce(
      (worst, status) => (SEVERITY[status] > SEVERITY[worst] ? status : worst),
      'ok',
    )
    return { status, version: this.version, uptimeMs: this.uptimeMs, checks }
  }
}
