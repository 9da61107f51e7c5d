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

/** The blocks of `bash`, `sh` and `console` of a page, without prompts; an indented one belongs to a list. */
export function shellBlocks(page: string): ShellBlock[] {
  const text = readFileSync(join(docsFolder(), '..', page), 'utf8')
  return [...text.matchAll(/^( *)```(?:bash|sh|console)\n([\s\S]*?)^ *```/gm)].map((found) => ({
    line: text.slice(0, found.index).split('\n').length,
    script: found[2]!.replace(/^(?: *)(?:\$ )?/gm, (start) =>
      start.slice(found[1]!.length).replace('$ ', ''),
    ),
  }))
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
