import { once } from 'node:events'
import { connect } from 'node:net'
import { GatewayError } from 'lurkbot-gateway/protocol'

/** The plugin: entries under `connectors:` may say `type: lines`. */
export default async function linesPlugin(app) {
  app.connector('lines', createLinesConnector)
}

/**
 * Speaks with a platform that has lines over TCP; `lines-server.js` is one.
 *
 * @param {{ host?: string, port: number, token: string }} options the rest of the entry under `connectors:`
 * @param {import('lurkbot-gateway').ConnectorFactoryContext} context
 * @returns {import('lurkbot-gateway').Connector}
 */
export function createLinesConnector({ host = '127.0.0.1', port, token }, { log }) {
  let socket = null
  // What was sent and is not confirmed yet, by its key.
  const unconfirmed = new Map()

  function take(line, connection, inlet) {
    const [verb, ...words] = line.split(' ')
    if (verb === 'NO') throw new GatewayError('UNAUTHORIZED', 'The platform refuses the token.')
    if (verb === 'OK') {
      socket = connection
      inlet.connected(words[0])
    } else if (verb === 'MSG') {
      const [id, peer, ...text] = words
      const from = { id, peer, thread: null, sender: { id: peer }, group: false, mentioned: false }
      inlet
        .receive({ ...from, text: text.join(' ') })
        // What was not taken is not acknowledged: the platform sends it again.
        .then(() => connection.write(`ACK ${id}\n`))
        .catch((error) => log.debug({ cause: error.message }, 'a message was not taken'))
    } else if (verb === 'TOOK') {
      unconfirmed.get(words[0])?.resolve({ messageId: words[1] })
    }
  }

  return {
    type: 'lines',
    capabilities: {
      maxLength: 500,
      threads: false,
      attachments: false,
      // The platform drops a message whose key it has seen.
      idempotent: true,
      // Strangers can write here: they are paired first.
      trusted: false,
    },

    // Receives until the signal aborts. Rejects when there is no connection, or none any more: it is called again.
    async listen(inlet, signal) {
      const connection = connect({ host, port }).setEncoding('utf8')
      const end = () => connection.destroy()
      signal.addEventListener('abort', end, { once: true })
      try {
        await once(connection, 'connect', { signal })
        connection.write(`AUTH ${token}\n`)
        let rest = ''
        for await (const chunk of connection) {
          const lines = (rest + chunk).split('\n')
          rest = lines.pop()
          for (const line of lines) take(line, connection, inlet)
        }
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof GatewayError) throw error
        // The cause is for the log; the message is for clients.
        throw new GatewayError('UNAVAILABLE', `${host} cannot be reached.`, { cause: error })
      } finally {
        signal.removeEventListener('abort', end)
        connection.destroy()
        socket = null
        const lost = new GatewayError('UNAVAILABLE', `${host} has closed the connection.`)
        for (const { reject } of unconfirmed.values()) reject(lost)
      }
      if (!signal.aborted) throw new GatewayError('UNAVAILABLE', `${host} has closed the connection.`)
    },

    // Resolves once the platform has taken the part.
    async send({ target, text, idempotencyKey }, signal) {
      if (socket === null) throw new GatewayError('UNAVAILABLE', `${host} is not connected.`)
      const words = text.replaceAll('\n', ' ')
      try {
        return await new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true })
          unconfirmed.set(idempotencyKey, { resolve, reject })
          socket.write(`SAY ${target.peer} ${idempotencyKey} ${words}\n`)
        })
      } finally {
        unconfirmed.delete(idempotencyKey)
      }
    },
  }
}
