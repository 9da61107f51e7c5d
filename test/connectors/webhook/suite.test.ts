import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { createWebhookConnector } from '../../../src/connectors/webhook/webhook.js'
import { connectorSuite } from '../../../src/testing/connector-suite.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { until } from '../../helpers/until.js'
import { SECRET } from './served.js'

connectorSuite(
  (name, body) => t.test(name, body),
  async () => {
    const answers: string[] = []
    const receiver = createServer(async (request, response) => {
      const { text } = (await json(request)) as { text: string }
      answers.push(text)
      response.writeHead(204).end()
    }).listen(0, '127.0.0.1')
    await once(receiver, 'listening')
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`
    const connector = await createWebhookConnector({ secrets: [SECRET], url }, connectorContext())
    let said = 0
    return {
      connector,
      say: async (text, inlet) => {
        const id = `msg_${++said}`
        const now = new Date()
        const body = JSON.stringify({ peer: 'deploys', sender: 'ada', text })
        const headers = {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': new Webhook(SECRET).sign(id, now, body),
        }
        const request = { headers, body: Buffer.from(body), remoteAddress: '127.0.0.1' }
        const { signal } = new AbortController()
        const { status } = await connector.endpoint!({ ...request, signal }, inlet)
        assert.equal(status, 202)
      },
      expected: { peer: 'deploys', thread: null, group: false, mentioned: false, sender: { id: 'ada' } },
      target: { peer: 'deploys', thread: null },
      heard: async () => {
        await until(() => answers.length > 0)
        return answers.shift()!
      },
      close: async () => {
        receiver.close()
        receiver.closeAllConnections()
        await once(receiver, 'close')
      },
    }
  },
)
