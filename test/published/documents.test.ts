import { readFile } from 'node:fs/promises'
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { ErrorShape, EVENTS, HealthReport } from '../../src/protocol/index.js'
import {
  ERROR_EXAMPLE,
  EVENT_EXAMPLES,
  HEALTH_EXAMPLE,
  METHOD_EXAMPLES,
} from '../../src/published/examples.js'
import { startApp } from '../helpers/app.js'

// biome-ignore lint/suspicious/noExplicitAny: documents as they come; their shape is asserted, not typed
type Document = any

const problems = (schema: TSchema, value: unknown) =>
  [...Value.Errors(schema, value)].map(({ path, message }) => `${path}: ${message}`)

/** Every object below that has `key`, with where it is. */
function* having(key: string, value: unknown, path = '#'): Generator<[string, Document]> {
  if (typeof value !== 'object' || value === null) return
  if (Object.hasOwn(value, key)) yield [path, value]
  for (const [name, child] of Object.entries(value))
    yield* having(key, child, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`)
}

function find(document: Document, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .reduce((value, name) => value?.[name.replaceAll('~1', '/').replaceAll('~0', '~')], document)
}

/** Without what AsyncAPI calls `id`, which Ajv takes for a schema's of old. */
function ajvOf({ id: _id, ...document }: Document) {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'doc', ...document })
  return ajv
}

/** Of Fastify's tree, four characters a level: `get /channels/{name}`. */
function routesOf(tree: string): string[] {
  const parents: string[] = []
  return tree.split('\n').flatMap((line) => {
    const [, indent, part, methods] = /^([\s│]*)[└├]── (\S+) \(([^)]*)\)/.exec(line) ?? []
    if (indent === undefined) return []
    const level = indent.length / 4
    parents[level] = (parents[level - 1] ?? '') + part
    const path = parents[level]
      .replaceAll(/:(\w+)/g, '{$1}')
      // The tree shows a wildcard without what is before it; there is one.
      .replace('/*', '/sessions/{key}/export')
    return methods!
      .split(', ')
      .filter((method) => method !== 'HEAD')
      .map((method) => `${method.toLowerCase()} ${path}`)
  })
}

t.test('every example is what its schema says', async (t) => {
  const { app } = await startApp(t)
  for (const [name, { params, result, sessionKey }] of Object.entries(METHOD_EXAMPLES)) {
    const { contract } = app.methods.get(name)
    t.strictSame(problems(contract.params, params), [], `${name}: params`)
    t.strictSame(problems(contract.result, result), [], `${name}: result`)
    if (contract.session === 'required') t.type(sessionKey, 'string', name)
  }
  const events = new Map(Object.values(EVENTS).map((event) => [event.name as string, event]))
  for (const [name, payload] of Object.entries(EVENT_EXAMPLES))
    t.strictSame(problems(events.get(name)!.payload, payload), [], name)
  t.strictSame(problems(HealthReport, HEALTH_EXAMPLE), [])
  t.strictSame(problems(ErrorShape, (ERROR_EXAMPLE as Document).error), [])
})

t.test(
  '/asyncapi.json has every method, event and close code, each example fits, each reference leads somewhere',
  async (t) => {
    const { url, app } = await startApp(t)
    const document: Document = await (await fetch(`${url}/asyncapi.json`)).json()
    const ajv = ajvOf(document)
    for (const name of app.methods.names) {
      const { contract } = app.methods.get(name)
      t.match(document.operations[name], { action: 'receive', 'x-scope': contract.scope }, name)
      t.ok(document.components.messages[`${name}.request`].payload.properties.params, name)
      t.ok(document.components.messages[`${name}.response`].payload.properties.result, name)
    }
    for (const { name } of Object.values(EVENTS)) t.ok(document.components.messages[name], name)
    let checked = 0
    for (const [name, { examples }] of Object.entries<Document>(document.components.messages)) {
      const validate = ajv.compile({ $ref: `doc#/components/messages/${name}/payload` })
      for (const { payload } of examples ?? []) {
        t.ok(validate(payload), `${name}: ${ajv.errorsText(validate.errors)}`)
        checked++
      }
    }
    t.ok(checked > 40)
    for (const [path, { $ref }] of having('$ref', document)) t.ok(find(document, $ref), `${path}: ${$ref}`)
    t.equal(
      document['x-close-codes'].length,
      new Set(document['x-close-codes'].map(({ code }: Document) => code)).size,
    )
  },
)

t.test('/openapi.json is of OpenAPI 3.1 and has the routes that are served, no others', async (t) => {
  const { url, app } = await startApp(t)
  const routes = routesOf(app.printRoutes({ commonPrefix: false }))
  const document: Document = await (await fetch(`${url}/openapi.json`)).json()
  const described = Object.entries<object>(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method} ${path}`),
  )
  t.strictSame(described.sort(), routes.sort(), 'src/published/openapi.ts describes each route')
  t.match(document, { openapi: /^3\.1\./, info: { title: String, version: String } })
  const ids = new Set<string>()
  for (const [path, item] of Object.entries<Document>(document.paths)) {
    for (const operation of Object.values<Document>(item)) {
      t.match(operation, { operationId: String, summary: String, responses: { default: {} } }, path)
      ids.add(operation.operationId)
      for (const requirement of operation.security ?? [])
        for (const scheme of Object.keys(requirement)) t.ok(document.components.securitySchemes[scheme])
      for (const [, name] of path.matchAll(/\{(\w+)\}/g))
        t.match(operation.parameters, [{ name, in: 'path', required: true }], path)
    }
  }
  t.equal(ids.size, described.length, 'operation ids are unique')
  for (const [path, { $ref }] of having('$ref', document)) t.ok(find(document, $ref), `${path}: ${$ref}`)
  const ajv = ajvOf(document)
  for (const [path, media] of having('schema', document)) {
    const validate = ajv.compile({ $ref: `doc${path}/schema` })
    if ('example' in media) t.ok(validate(media.example), `${path}: ${ajv.errorsText(validate.errors)}`)
  }
})

t.test('what the documents say of an answer is what is answered', async (t) => {
  const { url } = await startApp(t)
  const document: Document = await (await fetch(`${url}/openapi.json`)).json()
  const ajv = ajvOf(document)
  for (const path of [
    '/',
    '/health',
    '/live',
    '/ready',
    '/health/live',
    '/health/ready',
    '/methods',
    '/nope',
    '/ws',
  ]) {
    const response = await fetch(url + path)
    const described = document.paths[path]?.get.responses[response.status]
    const pointer =
      described === undefined || '$ref' in described
        ? '#/components/responses/Error'
        : `#/paths/${path.replaceAll('/', '~1')}/get/responses/${response.status}`
    const validate = ajv.compile({ $ref: `doc${pointer}/content/application~1json/schema` })
    t.ok(validate(await response.json()), `${path}: ${ajv.errorsText(validate.errors)}`)
  }
})

t.test(
  'the documents are served below basePath, to who may read, and again only when they changed',
  async (t) => {
    const { url } = await startApp(t, {
      basePath: '/gateway',
      auth: {
        tokens: [
          { token: 'reader', role: 'viewer' },
          { token: 'worker', role: 'agent' },
        ],
      },
    })
    for (const path of ['/methods', '/openapi.json', '/asyncapi.json']) {
      const get = (token?: string, headers: Record<string, string> = {}) =>
        fetch(url + path, { headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers } })
      t.equal((await get()).status, 401, path)
      t.equal((await get('worker')).status, 403, path)
      const first = await get('reader')
      t.equal(first.status, 200)
      t.match(first.headers.get('content-type'), /^application\/json/)
      t.equal(first.headers.get('cache-control'), 'private, no-cache')
      const etag = first.headers.get('etag')!
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`]) {
        const again = await get('reader', { 'if-none-match': known })
        t.equal(again.status, 304)
        t.equal(again.headers.get('etag'), etag)
      }
      t.equal((await get('reader', { 'if-none-match': '"other"' })).status, 200)
      const document = (await first.json()) as Document
      if (path === '/asyncapi.json') t.equal(document.servers.gateway.pathname, '/gateway/ws')
      if (path === '/openapi.json') t.strictSame(document.servers, [{ url: '/gateway' }])
    }
  },
)

t.test('the server of /asyncapi.json is the one that was asked, behind a proxy the public one', async (t) => {
  const { url } = await startApp(t, {
    trustProxy: ['127.0.0.1'],
    auth: { enabled: false, allowedHosts: ['gateway.example'] },
  })
  const serverOf = async (headers: Record<string, string>) => {
    const document = (await (await fetch(`${url}/asyncapi.json`, { headers })).json()) as Document
    return document.servers.gateway
  }
  const proxied = { 'x-forwarded-host': 'gateway.example', 'x-forwarded-proto': 'https' }
  t.match(await serverOf(proxied), { host: 'gateway.example', protocol: 'wss' })
  t.match(await serverOf({}), { host: new URL(url).host, protocol: 'ws' })
})

t.test('the documents are named by what is at the root', async (t) => {
  const { url } = await startApp(t)
  const { links } = (await (await fetch(`${url}/`)).json()) as { links: Record<string, string> }
  for (const path of ['methods', 'openapi.json', 'asyncapi.json']) {
    t.ok(Object.values(links).includes(path))
    t.equal((await fetch(`${url}/${path}`)).status, 200)
  }
  t.match(await readFile('docs/protocol.md', 'utf8'), '/asyncapi.json')
})
