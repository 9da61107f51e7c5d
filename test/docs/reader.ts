import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROGRAM } from '../helpers/gateway-process.js'

/** `lurkbot`, `npm start` and `npx lurkbot` are the program that was built, whatever is installed. */
export function programs(folder: string): string {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  const script = (name: string, text: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  script('npm', '[ "$1" = start ] && exec lurkbot gateway start')
  script('lurkbot', `exec "${process.execPath}" "${PROGRAM}" "$@"`)
  return `${bin}:${process.env.PATH}`
}

/** What stands for something that only the reader's gateway can tell: `job_…` is the last id of a job that was printed. */
export function filled(script: string, printed: string, known: ReadonlyMap<string, string>): string {
  let text = script
  for (const [shown, real] of known) text = text.replaceAll(shown, real)
  return text.replace(/\b([a-z]+_)…/g, (shown, prefix: string) => {
    const found = [...printed.matchAll(new RegExp(`\\b${prefix}[\\w-]+`, 'g'))].at(-1)
    return found?.[0] ?? shown
  })
}

export interface Result {
  readonly code: number | null
  readonly output: string
}

/** What runs until it is ended, and what it says once it does its work. */
const ENDLESS: readonly (readonly [RegExp, string])[] = [
  [/\bnpm start|\bgateway start(?!.*--daemon)/, 'gateway started'],
  [/^prometheus /m, 'Server is ready to receive web requests'],
]

/** As a reader would type it: each line after the other, ended by the first that fails. */
export async function run(script: string, env: NodeJS.ProcessEnv, cwd: string): Promise<Result> {
  const [, working] = ENDLESS.find(([command]) => command.test(script)) ?? []
  // One folder serves one gateway.
  const HOME = working === 'gateway started' ? mkdtempSync(join(cwd, 'home-')) : env.HOME
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    env: { ...env, HOME },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  let ended = false
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (ended || working === undefined || !output.includes(working)) return
      ended = true
      process.kill(-child.pid!, 'SIGTERM')
    })
  }
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}
