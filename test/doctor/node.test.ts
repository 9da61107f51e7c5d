import t from 'tap'
import { judgeNode, node } from '../../src/doctor/node.js'
import { contextOf, run, told } from './context.js'

const GOOD = {
  version: '20.19.0',
  engines: '>=20.19',
  arch: 'x64',
  platform: 'linux',
  driverError: null,
  openFiles: 100_000,
  memoryBytes: 2 ** 32,
  maxConnections: 50_000,
}

t.test('the node that runs this is good enough, and the driver of the journal loads', async (t) => {
  const found = await run(node, await contextOf(t))
  t.match(told(found)[0], /^ok: Node \d+\.\d+\.\d+ on .*driver loads/)
})

t.test('what is wrong with node is told with what to do', (t) => {
  t.match(told(judgeNode(GOOD)), [/^ok: Node 20\.19\.0 on linux x64/])
  const cases: [Partial<typeof GOOD> | { driverError: string }, RegExp][] = [
    [{ version: '20.18.3' }, /^error: Node 20\.18\.3 is too old: >=20\.19/],
    [{ version: '18.20.0' }, /^error: Node 18\.20\.0 is too old/],
    [{ driverError: 'wrong ELF class' }, /^error: .*wrong ELF class/],
    [{ arch: 'riscv64' }, /^warning: .*riscv64/],
    [{ memoryBytes: 2 ** 27 }, /^warning: There are 128 MiB/],
    [{ openFiles: 1_024 }, /^warning: A process may have 1024 files/],
  ]
  for (const [change, expected] of cases) {
    const found = judgeNode({ ...GOOD, ...change })
    t.match(told(found), [expected])
    t.ok(found[0]!.remedy)
  }
  t.match(told(judgeNode({ ...GOOD, openFiles: 20_000 })), [/^ok/, /^info: connection\.maxConnections/])
  t.match(told(judgeNode({ ...GOOD, version: '24.1.0' })), [/^ok/])
  t.end()
})
