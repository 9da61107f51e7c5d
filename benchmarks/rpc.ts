import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { COMPARISON_HEAD, compare, comparisonRow, type Load } from './harness.js'
import { printTable } from './table.js'

const CONNECTIONS = 16

/**
 * Keeps `inFlight` requests unanswered on a socket until `total` have been answered. As a busy client does, it writes the
 * requests of one turn of its event loop at once.
 */
function drive(socket: WebSocket, inFlight: number, total: number): Promise<void> {
  const { _socket: stream } = socket as unknown as { _socket: Socket }
  return new Promise((resolve) => {
    let sent = 0
    let answered = 0
    let corked = false
    const uncork = () => {
      corked = false
      stream.uncork()
    }
    const send = () => {
      if (!corked) {
        corked = true
        stream.cork()
        setImmediate(uncork)
      }
      socket.send(
        `{"type":"request","id":"r${sent++}","method":"gateway.ping","params":{"data":"benchmark"}}`,
      )
    }
    const onMessage = () => {
      answered++
      if (sent < total) send()
      if (answered < total) return
      socket.off('message', onMessage)
      resolve()
    }
    socket.on('message', onMessage)
    for (let i = 0; i < Math.min(inFlight, total); i++) send()
  })
}

const load = (inFlight: number, perConnection: number): Load => ({
  connections: CONNECTIONS,
  run: async (_server, sockets) => {
    await Promise.all(sockets.map((socket) => drive(socket, inFlight, perConnection)))
    return CONNECTIONS * perConnection
  },
})

printTable('RPC: gateway.ping over 16 connections, server CPU an operation', COMPARISON_HEAD, [
  comparisonRow('16 × 32 in flight', await compare(load(32, 10_000)), '≤ 0.4'),
  comparisonRow('16 × 1 in flight', await compare(load(1, 2_000)), '≤ 1.2'),
])
