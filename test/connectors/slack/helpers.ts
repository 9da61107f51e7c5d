import type { Test } from 'tap'
import { createSlackConnector } from '../../../src/connectors/slack/slack.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { type SlackServer, slackServer } from '../../helpers/slack-server.js'

export async function slackHost(t: Test, server: SlackServer, options: JsonObject = {}) {
  const context = connectorContext({ name: 'work', channel: 'slack', maxAttachmentBytes: 1_000 })
  const connector = await createSlackConnector(
    { botToken: server.botToken, appToken: server.appToken, apiUrl: server.apiUrl, ...options },
    context,
  )
  return { host: hostOf(t, connector), context, connector }
}

/** A server with a connector that listens to it. */
export async function connected(t: Test, options: JsonObject = {}) {
  const server = await slackServer(t)
  const made = await slackHost(t, server, options)
  await made.host.start()
  return { server, ...made }
}

export const DM = { peer: 'D1', thread: null }
