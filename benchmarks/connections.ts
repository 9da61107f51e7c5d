import { BenchServer, COMPARISON_HEAD, closeAll, compare, comparisonRow, connectAll } from './harness.js'
import { printTable } from './table.js'

const CYCLES = 2_000
const IDLE = 10_000

const connectAndClose = async (server: BenchServer) => {
  for (let done = 0; done < CYCLES; done += 50) {
    const sockets = await connectAll(server.url, 50)
    await Promise.all(
      sockets.map(
        (socket) =>
          new Promise((resolve) => {
            socket.once('close', resolve)
            socket.close()
          }),
      ),
    )
  }
  return CYCLES
}

/** Memory of one idle connection, in kB: what `IDLE` of them add, collected garbage aside. */
async function idle(name: 'gateway' | 'plain-ws'): Promise<string[]> {
  const server = await BenchServer.start(name)
  const warm = await connectAll(server.url, 100)
  const before = await server.usage({ collect: true })
  const sockets = await connectAll(server.url, IDLE)
  const after = await server.usage({ collect: true })
  closeAll([...warm, ...sockets])
  await server.stop()
  const each = (key: 'rss' | 'heapUsed') => ((after[key] - before[key]) / IDLE / 1000).toFixed(1)
  return [name, each('rss'), each('heapUsed')]
}

printTable('Connect, hello, close: server CPU a connection', COMPARISON_HEAD, [
  comparisonRow('one cycle', await compare({ connections: 0, run: connectAndClose }, 9), '≤ 1.4'),
])
printTable(
  `${IDLE.toLocaleString('en')} idle connections, kB each (goal: 9 RSS, 6 heap)`,
  ['server', 'RSS', 'heap'],
  [await idle('gateway'), await idle('plain-ws')],
)
