import { open, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mock } from 'node:test'
import t from 'tap'
import { boundErrorFile } from '../../src/logs/error-file.js'
import { temporaryFolder } from '../helpers/app.js'
import { until } from '../helpers/until.js'

const MAX_BYTES = 1_000

t.test(
  'a file past its bound is kept beside itself and begun anew under who writes to it, each time',
  async (t) => {
    mock.timers.enable({ apis: ['setInterval'] })
    t.teardown(() => mock.timers.reset())
    const folder = await temporaryFolder(t)
    const path = join(folder, 'gateway.err.log')
    const isEmpty = async () => (await stat(path)).size === 0
    // As standard error is where it is that file.
    const writer = await open(path, 'a')
    t.teardown(() => writer.close())

    const first = 'a'.repeat(MAX_BYTES + 1)
    await writer.write(first)
    boundErrorFile(path, () => MAX_BYTES)
    await until(isEmpty)
    t.equal(await readFile(`${path}.1`, 'utf8'), first)

    const second = 'b'.repeat(MAX_BYTES)
    await writer.write(second)
    t.equal(await readFile(path, 'utf8'), second, 'what comes next begins the file')
    await writer.write('more')
    mock.timers.tick(60_000)
    await until(isEmpty)
    t.equal(await readFile(`${path}.1`, 'utf8'), `${second}more`)
  },
)

t.test('a file up to its bound stays as it is, and one that is gone hurts nobody', async (t) => {
  const folder = await temporaryFolder(t)
  const [small, large] = [join(folder, 'small.log'), join(folder, 'large.log')]
  await writeFile(small, 'a'.repeat(MAX_BYTES))
  await writeFile(large, 'a'.repeat(MAX_BYTES + 1))
  for (const path of [join(folder, 'none.log'), small, large]) boundErrorFile(path, () => MAX_BYTES)
  await until(async () => (await stat(large)).size === 0)
  t.equal((await stat(small)).size, MAX_BYTES)
  await t.rejects(stat(`${small}.1`))
})
