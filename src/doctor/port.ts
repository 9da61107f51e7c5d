import { once } from 'node:events'
import { createServer } from 'node:net'
import { listenError } from '../cli/start-errors.js'
import { type Check, error, info, ok } from './check.js'

export const port: Check = {
  name: 'port',
  async run({ home, loaded, running }) {
    if (loaded === null) return [info('The configuration does not say which one.')]
    const { host, port } = loaded.config
    if (running !== null && (port === 0 || Number(new URL(running.url).port) === port)) {
      return [ok(`${running.url} is served by the gateway (process ${running.pid}).`)]
    }
    if (port === 0) return [ok('The start takes any free one (port: 0).')]
    const server = createServer()
    try {
      server.listen({ host, port, exclusive: true })
      await once(server, 'listening')
      return [ok(`Port ${port} at ${host} is free.`)]
    } catch (thrown) {
      const [message, ...advice] = (await listenError(thrown as Error, { host, port, home })).message.split(
        '\n',
      )
      return [error(message!, advice.map((line) => line.trim()).join('\n'))]
    } finally {
      server.close()
    }
  },
}
