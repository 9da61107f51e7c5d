import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EXIT } from '../../src/cli/exit-codes.js'
import { docsFolder } from '../../src/docs/generate.js'

t.test('the page has every exit code and no other', async (t) => {
  const [, section] = readFileSync(join(docsFolder(), 'cli.md'), 'utf8').split('\n## Exit codes\n')
  const codes = [...section!.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code))
  t.same(codes, Object.values(EXIT))
})
