import { spawn } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { docsFolder } from '../../src/docs/generate.js'
import { gatewayEnv, PROGRAM, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { RUN_ELSEWHERE, SETTINGS, UNTOUCHED } from './command-settings.js'
import { commandsOf, pages, type ShellBlock, shellBlocks } from './shell-blocks.js'

/** `lurkbot`, `npm start` and `npx lurkbot` are the program that was built, whatever is installed. */
function programs(folder: string): string {
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
function filled(script: string, printed: string, known: ReadonlyMap<string, string>): string {
  let text = script
  for (const [shown, real] of known) text = text.replaceAll(shown, real)
  return text.replace(/\b([a-z]+_)…/g, (shown, prefix: string) => {
    const found = [...printed.matchAll(new RegExp(`\\b${prefix}[\\w-]+`, 'g'))].at(-1)
    return found?.[0] ?? shown
  })
}

interface Result {
  readonly code: number | null
  readonly output: string
}

/** What runs until it is ended, and what it says once it does its work. */
const ENDLESS: readonly (readonly [RegExp, string])[] = [
  [/\bnpm start|\bgateway start(?!.*--daemon)/, 'gateway started'],
  [/^prometheus /m, 'Server is ready to receive web requests'],
]

/** As a reader would type it: each line after the other, ended by the first that fails. */
async function run(script: string, env: NodeJS.ProcessEnv, cwd: string): Promise<Result> {
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

const read = new Map(pages().map((page): [string, ShellBlock[]] => [page, shellBlocks(page)]))

t.test('what is not run as written here is still on its page', async (t) => {
  for (const [page, scripts] of Object.entries({ ...UNTOUCHED, ...RUN_ELSEWHERE })) {
    const shown = (read.get(page) ?? []).map(({ script }) => script).join('\n')
    for (const script of Object.keys(scripts)) t.ok(shown.includes(script), `${page}: ${script}`)
  }
})

for (const [page, blocks] of read) {
  const elsewhere = Object.keys({ ...UNTOUCHED[page], ...RUN_ELSEWHERE[page] })
  const here = blocks.filter(({ script }) => !elsewhere.some((one) => script.includes(one)))
  if (here.length === 0) continue
  t.test(`the commands of ${page} work as written`, async (t) => {
    const { home: folder, remove } = temporaryHome()
    t.teardown(remove)
    const { files = {}, prepare } = (await SETTINGS[page]?.(t)) ?? {}
    const home = join(folder, '.lurkbot')
    cpSync(join(docsFolder(), '../deploy'), join(folder, 'deploy'), { recursive: true })
    mkdirSync(home)
    for (const [name, text] of Object.entries(files)) writeFileSync(join(home, name), text)
    const gateway = await startGateway({ home })
    t.teardown(() => gateway.kill9())
    // As a reader has it: the state folder is found by its default.
    const { LURKBOT_HOME: _, ...inherited } = gatewayEnv(home)
    const env = { ...inherited, HOME: folder, PATH: programs(folder), TOKEN: 'unused' }
    const known = new Map([['http://127.0.0.1:18789', gateway.url], ...((await prepare?.(gateway)) ?? [])])
    let printed = ''
    for (const { line, script } of here) {
      for (const command of script.includes('…') ? commandsOf(script) : [script]) {
        const { code, output } = await run(filled(command, printed, known), env, folder)
        printed += output
        t.equal(code, 0, `${page}:${line}`, { command, output })
      }
    }
  })
}
