import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'

const webhook = new Webhook(process.env.RECEIVER_SECRET)
/** By `webhook-id`: a request that comes again, because its answer was lost, is not worked on twice. */
const answers = new Map()

async function answer({ event, history }) {
  return `You said “${event.payload.content}” after ${history.length} messages.`
}

const server = createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString()
  try {
    webhook.verify(body, request.headers)
  } catch {
    return response.writeHead(401).end()
  }
  const id = request.headers['webhook-id']
  if (!answers.has(id)) answers.set(id, answer(JSON.parse(body)))
  if (answers.size > 10_000) answers.delete(answers.keys().next().value)
  const say = (message) => response.write(`${JSON.stringify(message)}\n`)
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  try {
    for (const text of (await answers.get(id)).split(/(?<= )/)) say({ type: 'delta', text })
    say({ type: 'final' })
  } catch (error) {
    answers.delete(id)
    say({ type: 'error', message: error.message })
  }
  response.end()
})

server.listen(Number(process.env.PORT ?? 8000), '127.0.0.1', () => {
  console.log(`listening at http://127.0.0.1:${server.address().port}`)
})
