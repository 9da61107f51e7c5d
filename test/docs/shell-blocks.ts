import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { docsFolder } from '../../src/docs/generate.js'

/** What a page tells its reader to type. */
export interface ShellBlock {
  readonly line: number
  readonly script: string
}

/** README.md and everything in docs/, by their paths in the repository. */
export function pages(): string[] {
  const docs = readdirSync(docsFolder(), { recursive: true, encoding: 'utf8' }).map((path) => `docs/${path}`)
  return ['README.md', ...docs.filter((path) => path.endsWith('.md')).sort()]
}

/** The blocks of these languages of a page; of the last only what follows a prompt. An indented one belongs to a list. */
export function shellBlocks(page: string, languages = 'bash|sh|console'): ShellBlock[] {
  const text = readFileSync(join(docsFolder(), '..', page), 'utf8')
  const blocks = new RegExp(`^( *)\`\`\`(${languages})\\n([\\s\\S]*?)^ *\`\`\``, 'gm')
  return [...text.matchAll(blocks)].map((found) => {
    const [, indent, language, code] = found
    const lines = code!.split('\n').map((line) => line.slice(indent!.length))
    const typed = language === 'console' ? lines.flatMap((line) => line.match(/(?<=^\$ ).*/) ?? []) : lines
    return { line: text.slice(0, found.index).split('\n').length, script: typed.join('\n') }
  })
}

/** Its commands, which may have several lines each; where a later one needs what an earlier one printed. */
export function commandsOf(script: string): string[] {
  const commands: string[] = []
  let command = ''
  for (const line of script.trimEnd().split('\n')) {
    command += `${line}\n`
    if (spawnSync('bash', ['-n', '-c', command]).status !== 0 || /[|&\\]\n$/.test(command)) continue
    commands.push(command)
    command = ''
  }
  return command === '' ? commands : [...commands, command]
}
