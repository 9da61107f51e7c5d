import type { ChannelGateway } from './channel-gateway.js'

/** How often the process that runs now has tried to connect the channel again. */
export async function reconnects({ channel, url }: ChannelGateway): Promise<number> {
  const text = await (await fetch(new URL('/metrics', url))).text()
  const sample = `gateway_channel_reconnects_total{channel="${channel}"} `
  const line = text.split('\n').find((one) => one.startsWith(sample))
  return Number(line?.slice(sample.length) ?? 0)
}
