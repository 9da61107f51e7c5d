import { parseOptions } from '../../config/parse-options.js'
import type { ConnectorFactory } from '../connector.js'
import { checkOptions, readTokens, SlackOptions } from './options.js'

/** Slack by socket mode (docs/channels/slack.md). Its libraries are loaded here, thus only where it is configured. */
export const createSlackConnector: ConnectorFactory = async (given, context) => {
  const options = parseOptions(SlackOptions, given, (value) => checkOptions(value, context.env))
  const { SlackConnector } = await import('./slack-connector.js')
  return new SlackConnector(options, readTokens(options, context.env), context)
}
