import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../src/config/schema.js'

export interface InfoRoutesOptions {
  config: Config
  version: string
}

/** Where the client found the gateway, which behind a proxy is not where that listens. */
type Asked = Pick<FastifyRequest, 'protocol' | 'host'>

interface Document {
  readonly text: string
  readonly etag: string
}

/** The published contract over HTTP: the catalogue of methods and events, OpenAPI and AsyncAPI. Each is made when it is first asked for. */
export default async function infoRoutes(
  app: FastifyInstance,
  { config, version }: InfoRoutesOptions,
): Promise<void> {
  const { basePath } = config

  const onRequest = [app.auth.require('read')]
  const publish = (path: string, make: () => Promise<object>) => {
    // Made once, however many ask before it is there.
    let document: Promise<Document> | undefined
    app.get(path, { onRequest }, async (request, reply) => {
      document ??= make().then(encode)
      return answer(await document, request, reply)
    })
  }

  publish('/methods', async () => app.methods.catalogue())

  publish('/openapi.json', async () => {
    const { openApi } = await import('../src/published/openapi.js')
    return openApi({ version, basePath, metricsAuth: config.metrics.auth })
  })

  // Of the address that was asked for last: who asks chooses it.
  let kept: (Asked & { readonly document: Promise<Document> }) | undefined
  const asyncApiAt = async ({ protocol, host }: Asked): Promise<object> => {
    const { asyncApi } = await import('../src/published/asyncapi.js')
    const contracts = app.methods.names.map((name) => app.methods.get(name).contract)
    return asyncApi({ version, basePath, host, tls: protocol === 'https', contracts })
  }
  app.get('/asyncapi.json', { onRequest }, async (request, reply) => {
    const { protocol, host } = request
    if (kept?.protocol !== protocol || kept.host !== host) {
      kept = { protocol, host, document: asyncApiAt({ protocol, host }).then(encode) }
    }
    return answer(await kept.document, request, reply)
  })
}

function encode(document: object): Document {
  const text = JSON.stringify(document)
  return { text, etag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"` }
}

/** A copy may be kept, but is asked for each time: the next gateway at this address may have other methods (RFC 9111 §5.2.2.4). */
function answer({ text, etag }: Document, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.headers({ etag, 'cache-control': 'private, no-cache' })
  const known = request.headers['if-none-match']?.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  if (known?.some((tag) => tag === etag || tag === '*')) return reply.code(304).send()
  return reply.type('application/json; charset=utf-8').send(text)
}
