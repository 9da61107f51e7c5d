import { totalmem } from 'node:os'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { MemoryBound, MemoryReading } from './memory-watermark.js'

const RSS_SHARE = 0.85
const MEBIBYTE = 1_048_576

let lastRss = 0

export function readMemory(): MemoryReading {
  try {
    lastRss = process.memoryUsage.rss()
  } catch {
    // Linux tells by a file: out of descriptors, the last figure has to do.
  }
  return { rss: lastRss, heap: getHeapStatistics().used_heap_size }
}

/** The bounds that `overload` asks for; bytes. */
export function memoryBounds(options: {
  readonly maxRssBytes: number
  readonly maxHeapPercent: number
}): Record<MemoryBound, number> {
  const { maxRssBytes, maxHeapPercent } = options
  return {
    rss: maxRssBytes > 0 ? maxRssBytes : systemMemory() * RSS_SHARE,
    heap: (heapLimit() * maxHeapPercent) / 100,
  }
}

/** What the process may take: without a container the answer is 0 or more than there is. */
function systemMemory(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

/**
 * Where V8 fails. Its own figure has room for young objects on top, which the others cannot use; by default that is a
 * little, but with a small `--max-old-space-size` (then 48 to 192 MiB) most of it. So the flag is believed where there is one.
 */
export function heapLimit(
  execArgv: readonly string[] = process.execArgv,
  nodeOptions: string = process.env.NODE_OPTIONS ?? '',
): number {
  const limit = getHeapStatistics().heap_size_limit
  // Those of the command line come last, and win.
  const flags = [nodeOptions, ...execArgv].join(' ').matchAll(/--max[-_]old[-_]space[-_]size[= ](\d+)/g)
  const mebibytes = Number([...flags].at(-1)?.[1] ?? 0)
  return mebibytes > 0 ? Math.min(limit, mebibytes * MEBIBYTE) : limit
}

let collector: (() => void) | null = null

/** Collects all garbage; the process stands still meanwhile. Node has no other way to ask for it without a flag of its own. */
export function collectGarbage(): void {
  if (collector === null) {
    setFlagsFromString('--expose-gc')
    collector = runInNewContext('gc') as () => void
  }
  collector()
}
