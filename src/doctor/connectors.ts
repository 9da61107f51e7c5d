import { connect, createCliClient } from '../cli/connect.js'
import { nextCommand } from '../cli/next-command.js'
import type { ChannelStatus } from '../protocol/channels.js'
import { channelsList } from '../protocol/methods/channels.js'
import {
  type Check,
  type DoctorContext,
  error,
  info,
  type Observation,
  ok,
  reasonOf,
  warning,
} from './check.js'

const TIMEOUT_MS = 5_000

export const connectors: Check = {
  name: 'connectors',
  async run(context) {
    if (context.loaded === null) return []
    const configured = Object.keys(context.loaded.config.connectors)
    if (configured.length === 0) return [ok('None is configured.')]
    if (context.running === null) return stopped(context, configured)
    let channels: readonly ChannelStatus[]
    try {
      channels = await askChannels(context)
    } catch (thrown) {
      const message = `The gateway does not tell how they are: ${reasonOf(thrown)}`
      return [warning(message, `LURKBOT_TOKEN=… ${nextCommand('doctor')}`), ...stopped(context, configured)]
    }
    const found = channels.flatMap(judgeChannel)
    return found.length > 0 ? found : [ok(`${configured.join(', ')}: connected.`)]
  },
}

/** What can be known without asking the platforms. Variables are those of this shell. */
function stopped({ unset }: DoctorContext, configured: readonly string[]): Observation[] {
  const found = unset.map(({ connector, variable }) =>
    error(
      `connectors.${connector}: ${variable} is not set, and it will not connect.`,
      `export ${variable}=…   before the start`,
    ),
  )
  const message = `${configured.join(', ')}: whether the platforms take them shows when the gateway runs.`
  return found.length > 0
    ? found
    : [info(message, `${nextCommand('gateway start')}, then ${nextCommand('doctor')}`)]
}

async function askChannels({ target }: DoctorContext): Promise<readonly ChannelStatus[]> {
  const client = createCliClient(target!, { reconnect: false, subscribe: [], connectTimeoutMs: TIMEOUT_MS })
  await connect(client, target!)
  try {
    return (await client.request(channelsList, {}, { timeoutMs: TIMEOUT_MS })).channels
  } finally {
    client.close()
  }
}

export function judgeChannel({
  channel,
  connector,
  state,
  error: why,
  pending,
}: ChannelStatus): Observation[] {
  const reason = why === null ? '' : `: ${why.message}`
  const start = nextCommand(`gateway call channels.start '${JSON.stringify({ channel })}'`)
  if (state === 'failed')
    return [error(`connectors.${connector} has failed${reason}`, `Mend that, then ${start}`)]
  if (state === 'waiting')
    return [warning(`connectors.${connector} is not connected and tries again${reason}`, start)]
  if (state === 'connected' && why !== null)
    return [warning(`connectors.${connector} is connected, but${reason}`, start)]
  if (state === 'stopped')
    return [info(`connectors.${connector} is stopped; ${pending} messages wait for it.`, start)]
  return []
}
