import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import type { Target } from './target.js'

/** The JSON body of a GET, whatever its status. Rejects when there is no answer, or none in JSON, within `timeoutMs`. */
export function getJson(target: Target, path: string, timeoutMs: number): Promise<unknown> {
  const get = target.url.startsWith('https:') ? getHttps : getHttp
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const request = get(`${target.url}${path}`, { ...target.tls, agent: false, signal }, async (response) => {
      try {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk as Buffer)
        resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')))
      } catch (error) {
        reject(error)
      }
    })
    request.on('error', reject)
  })
}
