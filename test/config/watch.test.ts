import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FileWatch } from '../../src/config/watch.js'
import { until } from '../helpers/until.js'

async function watched(t: Test, path: string, config = { watchIntervalMs: 2, settleMs: 2 }) {
  let changes = 0
  const watch = new FileWatch({
    path: () => path,
    config,
    onChange: async () => {
      changes++
    },
  })
  t.teardown(() => watch.close())
  await watch.start()
  return { watch, count: () => changes, config }
}

t.test('sees a file that is made, written, replaced by a rename, and removed', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'config.yaml')
  const { count } = await watched(t, path)
  let seen = 0
  for (const change of [
    () => writeFile(path, 'one'),
    () => writeFile(path, 'other'),
    async () => {
      await writeFile(`${path}.new`, 'third')
      await rename(`${path}.new`, path)
    },
    () => rm(path),
    () => writeFile(path, 'again'),
  ]) {
    await change()
    await until(() => count() > seen)
    seen = count()
  }
})

t.test('sees the swap of a link beside the file, as Kubernetes does it', async (t) => {
  const folder = t.testdir({ v1: { 'config.yaml': 'one' }, v2: { 'config.yaml': 'two' } })
  await symlink('v1', join(folder, 'data'))
  await symlink('data/config.yaml', join(folder, 'config.yaml'))
  const { count } = await watched(t, join(folder, 'config.yaml'))
  await symlink('v2', join(folder, 'data.new'))
  await rename(join(folder, 'data.new'), join(folder, 'data'))
  await until(() => count() === 1)
})

t.test('what the gateway writes itself is no change, and nothing is looked at while it is off', async (t) => {
  const folder = t.testdir()
  const [own, off, mark] = ['own', 'off', 'mark'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const first = await watched(t, own, { watchIntervalMs: 20, settleMs: 2 })
  const second = await watched(t, off, { watchIntervalMs: 0, settleMs: 0 })
  await writeFile(own, 'x')
  await first.watch.seen()
  await mkdir(off)
  const third = await watched(t, mark, { watchIntervalMs: 50, settleMs: 2 })
  await writeFile(mark, 'x')
  await until(() => third.count() === 1)
  t.strictSame([first.count(), second.count()], [0, 0])
})
