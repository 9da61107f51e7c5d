import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { median } from './harness.js'
import { printTable } from './table.js'

const ROUNDS = 5
const SETTLE_MS = 2_000
const MAIN = fileURLToPath(new URL('../src/cli/main.js', import.meta.url))

/** Resident memory of a process, in MB, as Linux counts it. */
function residentMb(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line![1]) / 1000
}

/** From the start of the process until `/health/ready` is green; then its memory once it is idle. */
async function start(port: number): Promise<{ readyMs: number; rssMb: number }> {
  const home = mkdtempSync(join(tmpdir(), 'lurkbot-bench-'))
  const begin = performance.now()
  const child = spawn(process.execPath, [MAIN, 'gateway', 'start', '--port', String(port)], {
    env: { ...process.env, LURKBOT_HOME: home },
    stdio: 'ignore',
  })
  try {
    while (!(await isReady(port))) await delay(5)
    const readyMs = performance.now() - begin
    await delay(SETTLE_MS)
    return { readyMs, rssMb: residentMb(child.pid!) }
  } finally {
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await exited
    rmSync(home, { recursive: true, force: true })
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok
  } catch {
    return false
  }
}

const results: { readyMs: number; rssMb: number }[] = []
for (let round = 0; round < ROUNDS; round++) results.push(await start(28_789 + round))
printTable(
  `Start of the built program, median of ${ROUNDS}`,
  ['what', 'measured', 'goal'],
  [
    ['start to ready', `${median(results.map(({ readyMs }) => readyMs)).toFixed(0)} ms`, '1,000 ms'],
    ['idle memory', `${median(results.map(({ rssMb }) => rssMb)).toFixed(0)} MB`, '100 MB'],
  ],
)
