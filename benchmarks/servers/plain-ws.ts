import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { serveControl } from './control.js'

/** The peer: a plain `ws` server that parses and stringifies JSON, and does nothing else. */
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
await new Promise((resolve) => server.once('listening', resolve))

const features = {
  methods: Array.from({ length: 25 }, (_, i) => `family${i % 7}.method${i}`),
  events: Array.from({ length: 12 }, (_, i) => `family${i % 4}.event${i}`),
}

server.on('connection', (socket) => {
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString())
    if (frame.type === 'hello') {
      socket.send(
        JSON.stringify({
          type: 'hello-ok',
          protocol: 1,
          server: { version: '0.0.0', host: null, connId: 'plain' },
          features,
          snapshot: { sessions: [], cronJobs: [], channels: [] },
        }),
      )
      return
    }
    const result = { pong: true, at: Date.now(), data: frame.params.data }
    socket.send(JSON.stringify({ id: frame.id, type: 'response', result, error: null }))
  })
})

serveControl(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, (n) => {
  const payload = { runId: 'run_benchmark', text: `piece ${n} of an answer that someone is waiting for` }
  const event = {
    id: `e${n}`,
    type: 'event',
    at: Date.now(),
    event: 'agent.delta',
    payload,
    sessionKey: 'bench:fan-out:main',
  }
  const text = JSON.stringify(event)
  for (const client of server.clients) client.send(text)
})
