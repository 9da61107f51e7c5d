import { execFile } from 'node:child_process'
import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { temporaryFolder } from '../helpers/app.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const EXAMPLES = join(ROOT, 'examples')

const packages = (await readdir(EXAMPLES)).filter((name) => name.endsWith('-package'))

t.ok(packages.length > 0, 'there are examples')

for (const name of packages) {
  t.test(`${name} passes its own tests, installed beside the gateway as its reader would`, async (t) => {
    const folder = await temporaryFolder(t)
    await cp(join(EXAMPLES, name), folder, { recursive: true })
    await mkdir(join(folder, 'node_modules', '@sinclair'), { recursive: true })
    await symlink(ROOT, join(folder, 'node_modules', 'lurkbot-gateway'))
    await symlink(
      join(ROOT, 'node_modules', '@sinclair', 'typebox'),
      join(folder, 'node_modules', '@sinclair', 'typebox'),
    )
    const run = promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap'], {
      cwd: folder,
      // In a test of a test, Node's runner would report to the outer one.
      env: { PATH: process.env.PATH, HOME: folder },
    })
    const { stdout } = await run.catch((error: { stdout: string; stderr: string }) => {
      throw new Error(`${error.stdout}\n${error.stderr}`)
    })
    t.match(stdout, /^# fail 0$/m)
    t.match(stdout, /^# pass [1-9]/m)
  })
}
