import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { docsFolder } from '../../src/docs/generate.js'
import { gatewayEnv, startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { RUN_ELSEWHERE, SETTINGS, UNTOUCHED } from './command-settings.js'
import { filled, programs, run } from './reader.js'
import { commandsOf, pages, type ShellBlock, shellBlocks } from './shell-blocks.js'

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
    const { files = {}, prepare, finish } = (await SETTINGS[page]?.(t)) ?? {}
    const home = join(folder, '.lurkbot')
    cpSync(join(docsFolder(), '../deploy'), join(folder, 'deploy'), { recursive: true })
    mkdirSync(home, { mode: 0o700 })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(home, name), text, { mode: 0o600 })
    const gateway = await startGateway({ home })
    t.teardown(() => gateway.kill9())
    // As a reader has it: the state folder is found by its default.
    const { LURKBOT_HOME: _, ...inherited } = gatewayEnv(home)
    const env = { ...inherited, HOME: folder, PATH: programs(folder), TOKEN: 'unused' }
    t.teardown(async () => {
      if (finish !== undefined) await run(finish, env, folder)
    })
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

const SHELLS = { zsh: ['-fc', 'autoload -Uz compinit; compinit -u -D; '], fish: ['-c', ''] } as const

for (const [shell, [option, before]] of Object.entries(SHELLS)) {
  t.test(`what the pages have for ${shell} works in it`, async (t) => {
    const { home: folder, remove } = temporaryHome()
    t.teardown(remove)
    const PATH = programs(folder)
    const scripts = [...read.keys()].flatMap((page) => shellBlocks(page, shell))
    t.ok(scripts.length > 0)
    for (const { script } of scripts) {
      const child = spawnSync(shell, [option, before + script], {
        env: { ...process.env, HOME: folder, PATH },
        encoding: 'utf8',
      })
      t.match(child, { status: 0, stderr: '' }, script)
    }
  })
}
