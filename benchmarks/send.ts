import { once } from 'node:events'
import type { WebSocket } from 'ws'
import { BenchServer, closeAll, connectAll, median } from './harness.js'
import { printTable } from './table.js'

const SENDERS = 64
const PER_SENDER = 1_000
const IN_FLIGHT = 16

/** Sends messages, `IN_FLIGHT` unacknowledged at a time, until all are acknowledged. */
function drive(socket: WebSocket, session: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0
    let acknowledged = 0
    const send = () => {
      const id = `s${sent++}`
      socket.send(
        `{"type":"request","id":"${id}","method":"sessions.send","sessionKey":"${session}","params":{"content":"message ${id}"}}`,
      )
    }
    socket.on('message', (data: Buffer) => {
      const text = data.toString()
      if (!text.includes('"type":"response"')) return
      if (!text.endsWith('"error":null}')) reject(new Error(text))
      acknowledged++
      if (sent < PER_SENDER) send()
      else if (acknowledged === PER_SENDER) resolve()
    })
    for (let i = 0; i < IN_FLIGHT; i++) send()
  })
}

const rates: number[] = []
const cpu: number[] = []
const server = await BenchServer.start('gateway')
for (let round = 0; round < 4; round++) {
  const sockets = await connectAll(server.url, SENDERS)
  for (const socket of sockets) {
    socket.send('{"type":"request","id":"quiet","method":"events.unsubscribe"}')
    await once(socket, 'message')
  }
  const before = await server.usage()
  const start = performance.now()
  await Promise.all(sockets.map((socket, i) => drive(socket, `bench:${round}-${i}:main`)))
  const seconds = (performance.now() - start) / 1000
  const after = await server.usage()
  closeAll(sockets)
  if (round === 0) continue
  rates.push((SENDERS * PER_SENDER) / seconds)
  cpu.push((after.cpuUs - before.cpuUs) / (SENDERS * PER_SENDER))
}
await server.stop()
printTable(
  'sessions.send, each acknowledged once on disk and then answered by echo',
  ['senders × in flight', 'acknowledged /s', 'goal', 'server CPU µs each'],
  [
    [
      `${SENDERS} × ${IN_FLIGHT}`,
      Math.round(median(rates)).toLocaleString('en'),
      '20,000',
      median(cpu).toFixed(1),
    ],
  ],
)
