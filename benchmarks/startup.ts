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

/** Processor time of a process, in ms, as Linux counts it: in ticks of 10 ms. */
function cpuMs(pid: number): number {
  const [, fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
  const [user, system] = fields!.split(' ').slice(11, 13)
  return (Number(user) + Number(system)) * 10
}

interface Start {
  readonly readyMs: number
  readonly cpuMs: number
  readonly rssMb: number
}

/** From the start of the process until `/health/ready` is green; then what it took once it is idle. */
async function start(port: number, connectors: object): Promise<Start> {
  const home = mkdtempSync(join(tmpdir(), 'lurkbot-bench-'))
  const begin = performance.now()
  const child = spawn(process.execPath, [MAIN, 'gateway', 'start', '--port', String(port)], {
    env: {
      ...process.env,
      LURKBOT_HOME: home,
      LURKBOT_GATEWAY__CONNECTORS: JSON.stringify(connectors),
    },
    stdio: 'ignore',
  })
  try {
    while (!(await isReady(port))) await delay(5)
    const readyMs = performance.now() - begin
    await delay(SETTLE_MS)
    return { readyMs, cpuMs: cpuMs(child.pid!), rssMb: residentMb(child.pid!) }
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

/** Connectors whose platform is not there: what they cost is their library. */
const DEAD = '127.0.0.1:9'
const CONFIGURED: Readonly<Record<string, object>> = {
  'no channel': {},
  webhook: { a: { type: 'webhook', verify: 'none' } },
  telegram: { a: { type: 'telegram', token: '1:x', apiRoot: `http://${DEAD}` } },
  slack: { a: { type: 'slack', botToken: 'xoxb-x', appToken: 'xapp-x', apiUrl: `http://${DEAD}` } },
  discord: { a: { type: 'discord', token: 'x'.repeat(20), apiUrl: `http://${DEAD}` } },
  irc: { a: { type: 'irc', host: '127.0.0.1', port: 9, tls: false, nick: 'lurk' } },
  mqtt: { a: { type: 'mqtt', url: `mqtt://${DEAD}` } },
  xmpp: { a: { type: 'xmpp', jid: 'lurk@localhost', password: 'x', service: `xmpps://${DEAD}` } },
}

const results = Object.fromEntries(Object.keys(CONFIGURED).map((name): [string, Start[]] => [name, []]))
let port = 28_789
// In turn, so that what else the machine does meets all of them alike.
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, connectors] of Object.entries(CONFIGURED)) {
    results[name]!.push(await start(port++, connectors))
  }
}
const measured = (name: string, what: keyof Start) => median(results[name]!.map((one) => one[what]))
const ratio = (name: string, what: keyof Start) =>
  (measured(name, what) / measured('no channel', what)).toFixed(2)
printTable(
  `Start of the built program, median of ${ROUNDS} (goal with no channel: 1,000 ms, 100 MB)`,
  ['configured', 'start to ready', 'CPU', 'ratio', 'idle memory', 'ratio'],
  Object.keys(CONFIGURED).map((name) => [
    name,
    `${measured(name, 'readyMs').toFixed(0)} ms`,
    `${measured(name, 'cpuMs').toFixed(0)} ms`,
    ratio(name, 'cpuMs'),
    `${measured(name, 'rssMb').toFixed(0)} MB`,
    ratio(name, 'rssMb'),
  ]),
)
