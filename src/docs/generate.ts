import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { cliParts } from './cli-doc.js'
import { configParts } from './config-doc.js'
import { renderDeployFiles } from './deploy-files.js'
import { fillPage, type Parts } from './markdown.js'
import { methodParts } from './methods-doc.js'
import { protocolParts } from './protocol-doc.js'

/** The pages that have generated parts. */
export const PAGES: Readonly<Record<string, Parts>> = {
  'cli.md': cliParts,
  'config.md': configParts,
  'methods.md': methodParts,
  'protocol.md': protocolParts,
}

/** The folder `docs` beside the nearest package.json above this file, wherever it was compiled to. */
export function docsFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return join(folder, 'docs')
}

export interface Page {
  readonly file: string
  readonly found: string
  readonly wanted: string
}

/** Each page as it is and as it should be. */
export async function renderPages(folder = docsFolder()): Promise<Page[]> {
  return Promise.all(
    Object.entries(PAGES).map(async ([name, parts]) => {
      const file = join(folder, name)
      const found = await readFile(file, 'utf8')
      return { file, found, wanted: fillPage(found, parts) }
    }),
  )
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const deployFiles = await renderDeployFiles(dirname(docsFolder()))
  for (const { file, found, wanted } of [...(await renderPages()), ...deployFiles]) {
    if (found !== wanted) await writeFile(file, wanted)
    console.log(`${found === wanted ? 'as it was' : 'written'}: ${file}`)
  }
}
