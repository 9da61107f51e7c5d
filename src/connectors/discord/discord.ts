import { parseOptions } from '../../config/parse-options.js'
import type { ConnectorFactory } from '../connector.js'
import { checkOptions, DiscordOptions } from './options.js'

/** Discord as a bot (docs/channels/discord.md). Its libraries are loaded here, thus only where it is configured. */
export const createDiscordConnector: ConnectorFactory = async (given, context) => {
  const options = parseOptions(DiscordOptions, given, (value) => checkOptions(value, context.env))
  const { DiscordConnector } = await import('./discord-connector.js')
  return new DiscordConnector(options, context)
}
