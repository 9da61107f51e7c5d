import type { TSchema } from '@sinclair/typebox'
import { Catalogue, ErrorShape, HealthReport } from '../protocol/index.js'
import { ERROR_EXAMPLE, HEALTH_EXAMPLE } from './examples.js'
import { type Json, type JsonMap, SharedSchemas } from './schemas.js'

export interface OpenApiOptions {
  readonly version: string
  readonly basePath: string
  /** Whether `/metrics` asks for a token. */
  readonly metricsAuth: boolean
}

const TOKEN = [{ bearer: [] }]

/** The OpenAPI 3.1 document of the gateway's own HTTP routes; those of plugins are not part of it. */
export function openApi({ version, basePath, metricsAuth }: OpenApiOptions): JsonMap {
  const schemas = new SharedSchemas('#/components/schemas/')
  const json = (description: string, schema: TSchema | JsonMap, example?: Json): JsonMap => ({
    description,
    content: {
      'application/json': {
        schema: schemas.of(schema as TSchema),
        ...(example !== undefined && { example }),
      },
    },
  })
  const get = (operationId: string, summary: string, responses: JsonMap, more: JsonMap = {}): JsonMap => ({
    get: {
      operationId,
      summary,
      responses: { ...responses, default: { $ref: '#/components/responses/Error' } },
      ...more,
    },
  })
  const guarded = { security: TOKEN }
  const status = { type: 'object', properties: { status: { type: 'string' } }, required: ['status'] }
  const live = (id: string) => get(id, 'Whether the process lives.', { 200: json('It does.', status) })
  const ready = (id: string) =>
    get(id, 'Whether the gateway takes work.', {
      200: json('It does.', status),
      503: json('It does not.', status),
    })
  const document = { type: 'object' }
  return {
    openapi: '3.1.0',
    info: {
      title: 'LurkBot Gateway',
      version,
      description: 'What the gateway serves over HTTP; its methods are on the WebSocket (`/asyncapi.json`).',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: basePath === '' ? '/' : basePath }],
    security: [],
    paths: {
      '/': get('info', 'What this is; with an upgrade, the WebSocket.', {
        200: json('Name, version, protocol version and where things are.', document),
      }),
      '/ws': get('websocket', 'The WebSocket, as `/asyncapi.json` describes.', {
        101: { description: 'The connection is a WebSocket from here on.' },
        426: { $ref: '#/components/responses/Error' },
      }),
      '/health': get('health', 'Each check, as by `gateway.health`.', {
        200: json('It serves; `degraded`: not as well as it should.', HealthReport, HEALTH_EXAMPLE),
        503: json('It does not serve.', HealthReport),
      }),
      '/health/live': live('healthLive'),
      '/live': live('live'),
      '/health/ready': ready('healthReady'),
      '/ready': ready('ready'),
      '/metrics': get(
        'metrics',
        'Metrics for Prometheus.',
        {
          200: {
            description: 'Prometheus text, or OpenMetrics where that is asked for.',
            content: {
              'text/plain': { schema: { type: 'string' } },
              'application/openmetrics-text': { schema: { type: 'string' } },
            },
          },
        },
        metricsAuth ? guarded : {},
      ),
      '/methods': get(
        'methods',
        'Every method and event, as by `methods.list`.',
        { 200: json('The catalogue.', Catalogue), 304: unchanged },
        guarded,
      ),
      '/openapi.json': get(
        'openapi',
        'This document.',
        { 200: json('OpenAPI 3.1.', document), 304: unchanged },
        guarded,
      ),
      '/asyncapi.json': get(
        'asyncapi',
        'The protocol of the WebSocket.',
        { 200: json('AsyncAPI 3.0.', document), 304: unchanged },
        guarded,
      ),
      '/sessions/{key}/export': get(
        'exportSession',
        'A session and its messages as JSON lines.',
        {
          200: {
            description: 'First the session, then each message, oldest first.',
            content: { 'application/x-ndjson': { schema: { type: 'string' } } },
          },
        },
        {
          ...guarded,
          parameters: [{ name: 'key', in: 'path', required: true, schema: { type: 'string' } }],
        },
      ),
      '/channels/{name}': channel,
    },
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'A token with the scope `read`; not asked for while authentication is off.',
        },
      },
      responses: {
        Error: json(
          'Why it was not fulfilled.',
          {
            type: 'object',
            properties: { error: schemas.of(ErrorShape) },
            required: ['error'],
          },
          ERROR_EXAMPLE,
        ),
      },
      schemas: schemas.all,
    },
  }
}

const unchanged: JsonMap = { description: 'It is what `If-None-Match` names.' }

const channel: JsonMap = {
  post: {
    operationId: 'channelRequest',
    summary: 'Where platforms call their connectors, which check the signatures themselves.',
    parameters: [
      {
        name: 'name',
        in: 'path',
        required: true,
        schema: { type: 'string' },
        description: 'The connector’s name in the configuration.',
      },
    ],
    requestBody: { content: { '*/*': {} } },
    responses: {
      '2XX': { description: 'As the connector answers.' },
      default: { $ref: '#/components/responses/Error' },
    },
  },
}
