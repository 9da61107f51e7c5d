import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { readIfThere, replaceFile } from '../../src/config/config-file.js'

t.test('keeps its mode and so many earlier texts', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'config.yaml')
  await replaceFile(path, 'one', 2)
  t.equal((await stat(path)).mode & 0o777, 0o600, 'a new one is for its owner only')
  await chmod(path, 0o640)
  for (const text of ['two', 'three', 'four']) await replaceFile(path, text, 2)
  t.equal((await stat(path)).mode & 0o777, 0o640)
  t.equal((await stat(`${path}.bak`)).mode & 0o777, 0o640)
  const texts = await Promise.all(['', '.bak', '.bak.1'].map((end) => readFile(path + end, 'utf8')))
  t.strictSame(texts, ['four', 'three', 'two'])
  t.strictSame((await readdir(folder)).sort(), ['config.yaml', 'config.yaml.bak', 'config.yaml.bak.1'])
})

t.test('without backups there are none; a draft that a crash left behind is no trouble', async (t) => {
  const folder = t.testdir({ 'config.yaml': 'one', '.config.yaml.draft': 'half' })
  await replaceFile(join(folder, 'config.yaml'), 'two', 0)
  t.strictSame(await readdir(folder), ['config.yaml'])
})

t.test('a link stays a link, and what it leads to is replaced', async (t) => {
  const folder = t.testdir({ real: {} })
  await writeFile(join(folder, 'real', 'gateway.yaml'), 'one')
  const path = join(folder, 'config.yaml')
  await symlink(join(folder, 'real', 'gateway.yaml'), path)
  await replaceFile(path, 'two', 1)
  t.ok((await lstat(path)).isSymbolicLink())
  t.equal(await readFile(join(folder, 'real', 'gateway.yaml'), 'utf8'), 'two')
})

t.test('says that it cannot be written, and changes nothing', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'config.yaml')
  await mkdir(path)
  await t.rejects(replaceFile(path, 'x', 1))
  t.equal(await readIfThere(join(folder, 'none.yaml')), '')
})

t.test('killed at any moment, the file is wholly the old one or wholly the new one', async (t) => {
  const program = fileURLToPath(new URL('./replace-forever.js', import.meta.url))
  for (let round = 0; round < 5; round++) {
    const path = join(t.testdir(), 'config.yaml')
    const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'close')
    const files = await readdir(dirname(path))
    t.ok(files.includes('config.yaml'))
    for (const file of files.filter((name) => !name.startsWith('.'))) {
      const text = await readFile(join(dirname(path), file), 'utf8')
      const lines = text.trimEnd().split('\n')
      t.equal(lines.length, 2_002)
      t.equal(lines[0], lines.at(-1))
    }
  }
})
