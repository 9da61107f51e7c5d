import type { SessionConfigOption, SessionModeState } from '@agentclientprotocol/sdk'
import { GatewayError } from '../../protocol/index.js'
import { abortable } from '../abort.js'
import type { Link } from './link.js'
import type { AcpOptions } from './options.js'

/** What an agent lets one choose in a session. */
export interface Offer {
  readonly modes?: SessionModeState | null
  readonly configOptions?: readonly SessionConfigOption[] | null
}

/** Sets what is configured. @throws `NOT_LINKED` where the agent does not offer it */
export async function choose(
  link: Link,
  sessionId: string,
  offer: Offer,
  wanted: Pick<AcpOptions, 'mode' | 'model'>,
  signal: AbortSignal,
): Promise<void> {
  for (const category of ['mode', 'model'] as const) {
    const value = wanted[category]
    if (value === undefined) continue
    const option = offer.configOptions?.find((one) => one.category === category && one.type === 'select')
    if (option?.type === 'select') {
      const values = option.options
        .flatMap((one) => ('options' in one ? one.options : [one]))
        .map((one) => one.value)
      check(category, value, values)
      const params = { sessionId, configId: option.id, value }
      await abortable(link.agent.request('session/set_config_option', params), signal)
    } else {
      const modes = category === 'mode' ? (offer.modes?.availableModes ?? []) : []
      check(
        category,
        value,
        modes.map(({ id }) => id),
      )
      await abortable(link.agent.request('session/set_mode', { sessionId, modeId: value }), signal)
    }
  }
}

function check(category: string, value: string, offered: readonly string[]): void {
  if (offered.includes(value)) return
  const known = offered.slice(0, 20).join(', ') || 'none'
  throw new GatewayError(
    'NOT_LINKED',
    `The agent does not offer the ${category} '${value}'; it offers: ${known}.`,
  )
}
