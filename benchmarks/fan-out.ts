import { type BenchServer, COMPARISON_HEAD, closeAll, compare, comparisonRow, connectAll } from './harness.js'
import { printTable } from './table.js'

const RECEIVERS = 1_000

const load = (events: number, burst: number) => async (server: BenchServer) => {
  const sockets = await connectAll(server.url, RECEIVERS)
  let received = 0
  const all = new Promise<void>((resolve) => {
    const onMessage = () => {
      if (++received === RECEIVERS * events) resolve()
    }
    for (const socket of sockets) socket.on('message', onMessage)
  })
  await server.publish(events, burst)
  await all
  closeAll(sockets)
  return RECEIVERS * events
}

printTable(`Fan-out to ${RECEIVERS} receivers, server CPU a delivery`, COMPARISON_HEAD, [
  comparisonRow('single events', await compare(load(200, 1)), '≤ 1.0'),
  comparisonRow('bursts of 20', await compare(load(1_000, 20)), '≤ 0.15'),
])
