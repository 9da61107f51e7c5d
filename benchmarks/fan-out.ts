import { COMPARISON_HEAD, compare, comparisonRow, type Load } from './harness.js'
import { printTable } from './table.js'

const RECEIVERS = 1_000

const load = (events: number, burst: number): Load => ({
  connections: RECEIVERS,
  run: async (server, sockets) => {
    let received = 0
    const all = new Promise<void>((resolve) => {
      const onMessage = () => {
        if (++received === RECEIVERS * events) resolve()
      }
      for (const socket of sockets) socket.on('message', onMessage)
    })
    await server.publish(events, burst)
    await all
    return RECEIVERS * events
  },
})

printTable(`Fan-out to ${RECEIVERS} receivers, server CPU a delivery`, COMPARISON_HEAD, [
  comparisonRow('single events', await compare(load(100, 1), 3), '≤ 1.0'),
  comparisonRow('bursts of 20', await compare(load(400, 20), 3), '≤ 0.15'),
])
