import type { Contract } from '../protocol/contract.js'
import {
  CancelFrame,
  CLOSE,
  ERROR_CODES,
  ErrorShape,
  EVENTS,
  type EventContract,
  HelloErrorFrame,
  HelloFrame,
  HelloOkFrame,
  Id,
  InboundEventFrame,
  PROTOCOL_VERSION,
  SessionKey,
} from '../protocol/index.js'
import {
  EVENT_EXAMPLES,
  EXAMPLE_AT,
  EXAMPLE_SESSION_KEY,
  FRAME_EXAMPLES,
  METHOD_EXAMPLES,
} from './examples.js'
import { type Json, type JsonMap, SharedSchemas } from './schemas.js'

export interface AsyncApiOptions {
  readonly version: string
  readonly basePath: string
  readonly tls: boolean
  /** Where clients reach it: a name or address, with the port where it is not that of the scheme. */
  readonly host: string
  readonly contracts: readonly Contract[]
}

const CHANNEL = '#/channels/gateway'

/** The AsyncAPI 3.0 document of the WebSocket: an operation for each method, and one for the events, made of the contracts. */
export function asyncApi({ version, basePath, tls, host, contracts }: AsyncApiOptions): JsonMap {
  const schemas = new SharedSchemas('#/components/schemas/')
  const messages: JsonMap = { ...frameMessages(schemas) }
  const operations: JsonMap = { ...handshakeOperations() }
  for (const contract of contracts) {
    const { request, response } = methodMessages(contract, schemas)
    messages[`${contract.name}.request`] = request
    messages[`${contract.name}.response`] = response
    operations[contract.name] = methodOperation(contract)
  }
  for (const event of Object.values(EVENTS)) messages[event.name] = eventMessage(event, schemas)
  operations.events = {
    action: 'send',
    title: 'Events',
    summary: 'What happens, to every connection that has subscribed to it and may see it.',
    channel: { $ref: CHANNEL },
    messages: Object.values(EVENTS).map(({ name }) => messageRef(name)),
  }
  return {
    asyncapi: '3.0.0',
    id: 'urn:lurkbot:gateway',
    info: {
      title: 'LurkBot Gateway',
      version,
      description: `The WebSocket protocol of the gateway, version ${PROTOCOL_VERSION}: text frames, one JSON object each.`,
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    servers: {
      gateway: {
        host,
        pathname: `${basePath}/ws`,
        protocol: tls ? 'wss' : 'ws',
        protocolVersion: '13',
        security: [{ $ref: '#/components/securitySchemes/bearer' }],
      },
    },
    channels: {
      gateway: {
        address: `${basePath}/ws`,
        title: 'The connection',
        description: `One WebSocket. The same at ${basePath}/.`,
        messages: Object.fromEntries(
          Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]),
        ),
      },
    },
    operations,
    components: {
      messages,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description:
            'A token: in the header `Authorization`, in the WebSocket subprotocol `bearer.TOKEN`, or in `auth.token` of the hello.',
        },
      },
      schemas: schemas.all,
    },
    'x-protocol-version': PROTOCOL_VERSION,
    'x-error-codes': ERROR_CODES as unknown as Json,
    'x-close-codes': Object.values(CLOSE) as unknown as Json,
  }
}

function messageRef(name: string): JsonMap {
  return { $ref: `${CHANNEL}/messages/${name}` }
}

function frameMessages(schemas: SharedSchemas): JsonMap {
  const frames = { HelloFrame, HelloOkFrame, HelloErrorFrame, InboundEventFrame, CancelFrame }
  const messages: JsonMap = {}
  for (const [name, schema] of Object.entries(frames)) {
    messages[name] = {
      name,
      title: schema.properties.type.const,
      payload: schemas.of(schema),
      examples: [{ name: 'example', payload: FRAME_EXAMPLES[name]! }],
    }
  }
  messages.ErrorResponse = {
    name: 'ErrorResponse',
    title: 'response',
    summary: 'Why a request, or an event that was published, was refused.',
    payload: object({
      type: { const: 'response' },
      id: { anyOf: [schemas.of(Id), { type: 'null' }] },
      result: { type: 'null' },
      error: schemas.of(ErrorShape),
    }),
    examples: [{ name: 'example', payload: FRAME_EXAMPLES.ErrorResponse! }],
  }
  return messages
}

function handshakeOperations(): JsonMap {
  const channel = { $ref: CHANNEL }
  return {
    hello: {
      action: 'receive',
      summary: 'The first frame of a connection.',
      channel,
      messages: [messageRef('HelloFrame')],
      reply: { channel, messages: [messageRef('HelloOkFrame'), messageRef('HelloErrorFrame')] },
    },
    publish: {
      action: 'receive',
      summary: 'An event for a lane, as by `events.publish`; answered only when it is refused.',
      channel,
      messages: [messageRef('InboundEventFrame')],
      reply: { channel, messages: [messageRef('ErrorResponse')] },
    },
    cancel: {
      action: 'receive',
      summary: 'Ends a request that is not answered yet: its response is `CANCELLED`.',
      channel,
      messages: [messageRef('CancelFrame')],
    },
  }
}

function methodOperation({ name, summary, scope, session }: Contract): JsonMap {
  const channel = { $ref: CHANNEL }
  return {
    action: 'receive',
    title: name,
    summary,
    channel,
    messages: [messageRef(`${name}.request`)],
    reply: { channel, messages: [messageRef(`${name}.response`), messageRef('ErrorResponse')] },
    'x-scope': scope,
    'x-session': session,
  }
}

function methodMessages(
  { name, params, result, session }: Contract,
  schemas: SharedSchemas,
): { request: JsonMap; response: JsonMap } {
  const needsParams = Array.isArray(params.required) && params.required.length > 0
  const example = METHOD_EXAMPLES[name]
  const request = object(
    {
      type: { const: 'request' },
      id: schemas.of(Id),
      method: { const: name },
      params: needsParams ? schemas.of(params) : { anyOf: [schemas.of(params), { type: 'null' }] },
      ...(session === 'required' && { sessionKey: schemas.of(SessionKey) }),
      ...(session === 'optional' && { sessionKey: { anyOf: [schemas.of(SessionKey), { type: 'null' }] } }),
    },
    [...(needsParams ? [] : ['params']), ...(session === 'optional' ? ['sessionKey'] : [])],
  )
  const response = object({
    type: { const: 'response' },
    id: schemas.of(Id),
    result: schemas.of(result),
    error: { type: 'null' },
  })
  const correlationId = { location: '$message.payload#/id' }
  return {
    request: {
      name: `${name}.request`,
      title: name,
      correlationId,
      payload: request,
      ...(example && examples({ type: 'request', id: 'r1', method: name, ...withoutResult(example) })),
    },
    response: {
      name: `${name}.response`,
      title: name,
      correlationId,
      payload: response,
      ...(example && examples({ type: 'response', id: 'r1', result: example.result, error: null })),
    },
  }
}

function withoutResult({ params, sessionKey }: (typeof METHOD_EXAMPLES)[string]): JsonMap {
  return sessionKey === undefined ? { params } : { params, sessionKey }
}

function eventMessage(
  { name, summary, payload, durable, scope, session }: EventContract,
  schemas: SharedSchemas,
): JsonMap {
  const example = EVENT_EXAMPLES[name]
  const sessionKey = session ? schemas.of(SessionKey) : { type: 'null' }
  return {
    name,
    title: name,
    summary,
    payload: object(
      {
        type: { const: 'event' },
        id: { type: 'string' },
        at: { type: 'integer', minimum: 0 },
        event: { const: name },
        payload: schemas.of(payload),
        sessionKey,
        ...(durable && { seq: { type: 'integer', minimum: 1 } }),
        dropped: { type: 'integer', minimum: 1 },
      },
      ['dropped'],
    ),
    'x-scope': scope,
    'x-durable': durable,
    ...(example !== undefined &&
      examples({
        type: 'event',
        id: 'ev_1043',
        at: EXAMPLE_AT,
        event: name,
        payload: example,
        sessionKey: session ? EXAMPLE_SESSION_KEY : null,
        ...(durable && { seq: 1_043 }),
      })),
  }
}

function examples(payload: JsonMap): JsonMap {
  return { examples: [{ name: 'example', payload }] }
}

/** Every property is required but those that are named. */
function object(properties: JsonMap, optional: readonly string[] = []): JsonMap {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { type: 'object', properties, required }
}
