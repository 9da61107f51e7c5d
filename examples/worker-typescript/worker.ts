import { setTimeout as sleep } from 'node:timers/promises'
import { createNodeClient, createWorker, type WorkerTask } from 'lurkbot-gateway/client/node'

const { GATEWAY_URL = 'ws://127.0.0.1:18789/ws', GATEWAY_TOKEN, AGENT = 'helper', CREDIT = '4' } = process.env
/** How long it pretends to think about each word. */
const WORD_MS = Number(process.env.WORD_MS ?? 50)

/** Says a message again, word by word. Replace it with what your agent does. */
async function answer({ event, signal, delta }: WorkerTask): Promise<string> {
  const { content } = event.payload
  const words = typeof content === 'string' ? content.split(/\s+/) : []
  for (const word of words) {
    // The signal ends the run when nobody waits for its answer any more.
    await sleep(WORD_MS, undefined, { signal })
    delta(`${word} `)
  }
  return words.join(' ')
}

const client = createNodeClient({
  url: GATEWAY_URL,
  token: GATEWAY_TOKEN,
  caps: ['agent'],
  client: { id: 'worker-typescript', version: '1.0.0', platform: process.platform, mode: 'cli' },
})
const worker = createWorker(client, { agent: AGENT, credit: Number(CREDIT), onError: console.error }, answer)

// Finishes what it has; what comes in meanwhile goes to other workers.
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.once(name, async () => {
    await worker.close()
    client.close()
  })
}

await client.connect()
await worker.ready
console.log(`takes runs of '${AGENT}' at ${GATEWAY_URL}`)
const error = await client.closed
if (error !== null) {
  console.error(error.message)
  process.exitCode = 1
}
