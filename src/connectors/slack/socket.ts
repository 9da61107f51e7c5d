import { setImmediate } from 'node:timers/promises'
import { SocketModeClient } from '@slack/socket-mode'
import { WebSocket } from 'ws'
import { abortable } from '../../agents/abort.js'
import { GatewayError } from '../../protocol/errors.js'
import { clientOptions, SILENT } from './api.js'
import { slackError } from './errors.js'

/** https://docs.slack.dev/apis/events-api/using-socket-mode#events */
export interface Envelope {
  readonly type: string
  readonly body: unknown
  ack(): Promise<void>
}

export interface SocketOptions {
  readonly appToken: string
  readonly apiUrl: string
  onConnected(): void
  onEnvelope(envelope: Envelope): void
}

/** Holds one socket until `signal` aborts; rejects when there is none or it is lost. */
export async function holdSocket(options: SocketOptions, signal: AbortSignal): Promise<void> {
  const client = new Socket({
    appToken: options.appToken,
    autoReconnectEnabled: false,
    logger: SILENT,
    clientOptions: clientOptions(options.apiUrl, signal),
  })
  const lost = new Promise<never>((_, reject) => {
    client.once('disconnected', () => reject(client.whyLost()))
  })
  client.on('slack_event', options.onEnvelope)
  try {
    await abortable(Promise.race([lost, client.start()]), signal)
    options.onConnected()
    await abortable(lost, signal)
  } catch (error) {
    if (!signal.aborted) throw slackError(error, 'opening a socket with the app token')
  } finally {
    await close(client)
  }
}

class Socket extends SocketModeClient {
  #disconnectReason = ''

  /**
   * The library rejects into nowhere, which would end the process, at a frame of another shape; and it keeps to itself why
   * Slack disconnects.
   */
  protected override async onWebSocketMessage(data: string | ArrayBuffer, isBinary: boolean): Promise<void> {
    try {
      const frame = JSON.parse(String(data))
      if (frame.type === 'disconnect') this.#disconnectReason = String(frame.reason)
      await super.onWebSocketMessage(data, isBinary)
    } catch {}
  }

  whyLost(): GatewayError {
    switch (this.#disconnectReason) {
      case 'link_disabled':
        return new GatewayError('FORBIDDEN', 'Socket mode was switched off for this Slack app.')
      case '':
        return new GatewayError('UNAVAILABLE', 'The connection to Slack was lost.')
      default:
        return new GatewayError('UNAVAILABLE', 'Slack asked to connect again.')
    }
  }
}

async function close(client: SocketModeClient): Promise<void> {
  // A start that was stopped between its request and its socket opens that first.
  await setImmediate()
  const state = () => client.websocket?.readyState
  // The first call says goodbye, the second does not wait for the other side to do so. Once the socket is closed another
  // call would only leave a timer of 30 s behind.
  if (state() === WebSocket.CONNECTING || state() === WebSocket.OPEN) void client.disconnect()
  if (state() === WebSocket.CLOSING) void client.disconnect()
}
