import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { docsFolder } from '../../src/docs/generate.js'

const page = readFileSync(join(docsFolder(), 'troubleshooting.md'), 'utf8')

/** The lines of all code blocks of a language. */
function lines(language: string): string[] {
  const found = page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)\`\`\`$`, 'gm'))
  return [...found].flatMap(([, text]) => text!.trimEnd().split('\n'))
}

/** What stands as code in a column of the tables with this head. */
function cells(head: string, column: number): string[] {
  const [, table] = page.split(`${head}\n`)
  const rows = table!.slice(0, table!.indexOf('\n\n')).split('\n').slice(1)
  return rows.flatMap((row) => [...row.split(' | ')[column]!.matchAll(/`([^`]*)`/g)].map(([, text]) => text!))
}

function sources(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n')
}

t.test('every message that it quotes is one of the program', async (t) => {
  const root = dirname(docsFolder())
  const code = ['src', 'plugins', 'routes'].map((folder) => sources(join(root, folder))).join('\n')
  const messages = [
    ...lines('text'),
    ...cells('| message | cause | next |', 0),
    ...cells('| check | says | next |', 1),
  ]
  t.ok(messages.length > 40)
  for (const message of messages) {
    // The code before a message, and what differs, are put in when it is said.
    const parts = message
      .replace(/^(?:[A-Z_]+|Authentication failed): /, '')
      .split(/…|\((?:HTTP|it |ENOT).*$/)
    for (const part of parts.map((text) => text.trim())) {
      if (/[a-z]{3}/.test(part)) t.ok(code.includes(part), `${message}: '${part}'`)
    }
  }
})
