import type { ChannelGateway } from './channel-gateway.js'

/** How many messages of its channel the process that runs now has put on disk. */
export function accepted({ channel, url }: ChannelGateway): Promise<number> {
  return metric(url, `gateway_channel_messages_total{channel="${channel}",outcome="accepted"}`)
}

/** How often that process has tried to connect the channel again. */
export function reconnects({ channel, url }: ChannelGateway): Promise<number> {
  return metric(url, `gateway_channel_reconnects_total{channel="${channel}"}`)
}

async function metric(url: string, sample: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', url))).text()
  const line = text.split('\n').find((one) => one.startsWith(`${sample} `))
  return Number(line?.slice(sample.length) ?? 0)
}
