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

/** Waits until every accepted message is answered. */
async function idle(socket: WebSocket): Promise<void> {
  for (;;) {
    socket.send('{"type":"request","id":"idle","method":"gateway.info"}')
    const [data] = await once(socket, 'message')
    if (JSON.parse(data.toString()).result.lanes.pending === 0) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const rates: number[] = []
const cpu: number[] = []
const handled: number[] = []
// Room for all that one round sends: what is measured is the pace, not the refusals.
const server = await BenchServer.start('gateway', {
  LURKBOT_GATEWAY__LANES__CAPACITY: String(PER_SENDER),
  LURKBOT_GATEWAY__LANES__MAX_PENDING_PER_PRINCIPAL: String(SENDERS * PER_SENDER),
})
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
  await idle(sockets[0]!)
  const allSeconds = (performance.now() - start) / 1000
  const after = await server.usage()
  closeAll(sockets)
  if (round === 0) continue
  handled.push((SENDERS * PER_SENDER) / allSeconds)
  rates.push((SENDERS * PER_SENDER) / seconds)
  cpu.push((after.cpuUs - before.cpuUs) / (SENDERS * PER_SENDER))
}
await server.stop()
printTable(
  'sessions.send, each acknowledged once on disk and then answered by echo',
  ['senders × in flight', 'acknowledged /s', 'goal', 'answered /s', 'server CPU µs each'],
  [
    [
      `${SENDERS} × ${IN_FLIGHT}`,
      Math.round(median(rates)).toLocaleString('en'),
      '20,000',
      Math.round(median(handled)).toLocaleString('en'),
      median(cpu).toFixed(1),
    ],
  ],
)
