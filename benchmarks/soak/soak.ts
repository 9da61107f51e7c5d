import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BenchServer, median } from '../harness.js'
import type { Usage } from '../servers/control.js'
import { Traffic } from './traffic.js'

export interface SoakOptions {
  readonly seconds: number
  readonly everySeconds: number
  /** Messages a second. */
  readonly perSecond: number
  readonly onSample?: (sample: Sample) => void
}

export interface Sample extends Usage {
  readonly seconds: number
  readonly acknowledged: number
  readonly ended: number
  readonly refused: number
  readonly reconnects: number
  /** Acknowledged and not ended. */
  readonly open: number
  /** Of this interval. */
  readonly acknowledgeMs: Quantiles
  readonly answerMs: Quantiles
}

export interface Quantiles {
  readonly p50: number
  readonly p99: number
}

const MIB = 1024 * 1024

/** What may be added after the first third, in which caches fill and code is compiled. */
const GROWTH = {
  heapUsed: { factor: 1.2, bytes: 8 * MIB },
  rss: { factor: 1.25, bytes: 32 * MIB },
  journalBytes: { factor: 1.5, bytes: 32 * MIB },
  handles: { factor: 1, bytes: 24 },
  descriptors: { factor: 1, bytes: 24 },
} as const

/** Runs the gateway under mixed traffic. Returns the samples and everything that was wrong. */
export async function soak(options: SoakOptions): Promise<{ samples: Sample[]; findings: string[] }> {
  const agent = fileURLToPath(new URL('./agent.js', import.meta.url))
  const server = await BenchServer.start('gateway', {
    LURKBOT_GATEWAY__LOG__LEVEL: 'silent',
    LURKBOT_GATEWAY__AGENTS: JSON.stringify({ soak: { type: 'module', path: agent, timeoutMs: 1_000 } }),
    LURKBOT_GATEWAY__DEFAULT_AGENT: 'soak',
    LURKBOT_GATEWAY__LANES__RETRY__BACKOFF_MS: '20',
    LURKBOT_GATEWAY__LANES__COLLECT__QUIET_MS: '50',
    LURKBOT_GATEWAY__CONNECTION__MAX_BUFFERED_BYTES: '65536',
    LURKBOT_GATEWAY__JOURNAL__RETENTION_MS: '60000',
    LURKBOT_GATEWAY__JOURNAL__IDEMPOTENCY_WINDOW_MS: '10000',
  })
  try {
    const traffic = new Traffic(server.url, options.perSecond)
    const samples: Sample[] = []
    const startedAt = performance.now()
    for (let n = 1; n * options.everySeconds <= options.seconds; n++) {
      await delay(Math.max(0, startedAt + n * options.everySeconds * 1_000 - performance.now()))
      const sample = await take(server, traffic, (performance.now() - startedAt) / 1_000)
      samples.push(sample)
      options.onSample?.(sample)
    }
    await traffic.stop(30_000)
    return { samples, findings: [...judge(samples), ...promise(traffic)] }
  } finally {
    await server.stop()
  }
}

async function take(server: BenchServer, { ledger }: Traffic, seconds: number): Promise<Sample> {
  const { acknowledged, ended, refused, reconnects, open } = ledger
  const sample = {
    ...(await server.usage({ collect: true })),
    ...{ seconds, acknowledged, ended, refused, reconnects, open },
    acknowledgeMs: quantiles(ledger.acknowledgeMs),
    answerMs: quantiles(ledger.answerMs),
  }
  ledger.acknowledgeMs.length = 0
  ledger.answerMs.length = 0
  return sample
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50: at(0.5), p99: at(0.99) }
}

/** Whether anything grew without bound: the last third against the second. */
function* judge(samples: readonly Sample[]): Generator<string> {
  const third = Math.floor(samples.length / 3)
  const early = samples.slice(third, 2 * third)
  const late = samples.slice(-third)
  for (const [name, { factor, bytes }] of Object.entries(GROWTH) as [keyof typeof GROWTH, Growth][]) {
    const before = median(early.map((sample) => sample[name]))
    const after = median(late.map((sample) => sample[name]))
    if (after > before * factor + bytes) yield `${name} grew from ${before} to ${after}`
  }
}

interface Growth {
  readonly factor: number
  readonly bytes: number
}

function* promise({ ledger }: Traffic): Generator<string> {
  if (ledger.acknowledged === 0) yield 'nothing was acknowledged'
  if (ledger.open > 0) yield `${ledger.open} acknowledged messages had no end`
  yield* ledger.violations
}
