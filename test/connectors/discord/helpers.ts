import type { Test } from 'tap'
import { createDiscordConnector } from '../../../src/connectors/discord/discord.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext, hostOf } from '../../helpers/connector-host.js'
import { type DiscordServer, discordServer } from '../../helpers/discord-server.js'

export async function discordHost(t: Test, server: DiscordServer, options: JsonObject = {}) {
  const context = connectorContext({ name: 'guild', channel: 'discord', maxAttachmentBytes: 1_000 })
  const connector = await createDiscordConnector(
    { token: server.token, apiUrl: server.apiUrl, ...options },
    context,
  )
  return { host: hostOf(t, connector), context, connector }
}

/** A server with a connector that listens to it. */
export async function connected(t: Test, options: JsonObject = {}) {
  const server = await discordServer(t)
  const made = await discordHost(t, server, options)
  await made.host.start()
  return { server, ...made }
}

export const DM = { peer: '500', thread: null }
