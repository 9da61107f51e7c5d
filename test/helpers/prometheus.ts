import { spawnSync } from 'node:child_process'
import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { ServerProgram } from './server-program.js'
import { until } from './until.js'

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [at: number, value: string]
}

export interface Target {
  readonly labels: Readonly<Record<string, string>>
  readonly health: 'up' | 'down' | 'unknown'
  readonly lastError: string
}

export interface FiringRule {
  readonly name: string
  readonly health: string
  readonly lastError?: string
  readonly alerts: readonly { readonly state: string; readonly labels: Readonly<Record<string, string>> }[]
}

/** Runs `promtool`. */
export function promtool(args: readonly string[], input?: string): { status: number | null; output: string } {
  const { status, error, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' })
  if (error !== undefined)
    throw new Error('promtool does not run: install prometheus (.ci/run)', { cause: error })
  return { status, output: stdout + stderr }
}

/** Debian's Prometheus, with its HTTP API. */
export class Prometheus {
  readonly #url: string
  readonly #program: ServerProgram

  constructor(config: string, storage: string, port: number) {
    this.#url = `http://127.0.0.1:${port}`
    this.#program = new ServerProgram(
      [
        'prometheus',
        `--config.file=${config}`,
        `--storage.tsdb.path=${storage}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      port,
    )
  }

  async start(): Promise<void> {
    await this.#program.start()
    await until(async () => (await fetch(`${this.#url}/-/ready`)).ok)
  }

  kill(): Promise<void> {
    return this.#program.kill()
  }

  /** What it has logged. */
  get log(): string {
    return this.#program.output
  }

  /** @throws with its answer when it is an error, as for what does not parse. */
  async get<T>(path: string, parameters: Record<string, string> = {}): Promise<T> {
    const query = new URLSearchParams(parameters)
    const response = await fetch(`${this.#url}/api/v1/${path}?${query}`)
    const answer = (await response.json()) as { status: string; error?: string; data: T }
    if (answer.status !== 'success') throw new Error(`${answer.error} (${query})`)
    return answer.data
  }

  async query(expr: string): Promise<readonly Sample[]> {
    return (await this.get<{ result: Sample[] }>('query', { query: expr })).result
  }

  async targets(): Promise<readonly Target[]> {
    return (await this.get<{ activeTargets: Target[] }>('targets')).activeTargets
  }

  async rules(): Promise<readonly FiringRule[]> {
    const { groups } = await this.get<{ groups: { rules: FiringRule[] }[] }>('rules')
    return groups.flatMap(({ rules }) => rules)
  }

  /** The names of the alerts that fire now. */
  async firing(): Promise<readonly string[]> {
    const fires = ({ alerts }: FiringRule) => alerts.some(({ state }) => state === 'firing')
    return (await this.rules()).filter(fires).map(({ name }) => name)
  }
}

/** A running Prometheus, ended with the test. @param storage an empty folder */
export async function startPrometheus(t: Test, config: string, storage: string): Promise<Prometheus> {
  const prometheus = new Prometheus(config, storage, await freePort())
  t.teardown(() => prometheus.kill())
  await prometheus.start()
  return prometheus
}
