import { createHash, randomUUID } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { Attachment, GatewayError } from '../../protocol/index.js'
import type { IncomingMessage } from '../connector.js'
import { valueAt } from '../template.js'
import type { templatesOf, WebhookOptions } from './options.js'
import type { Proof, Signed } from './verify.js'

/** The longest id that goes into the journal as it is; of a longer one its hash. */
const MAX_ID_LENGTH = 64

const Attachments = Type.Array(Attachment, { maxItems: 32 })

/** @throws `INVALID_REQUEST` for a body that is not what its content type says. Undefined: a content type of no use. */
export function parseBody({ headers, body }: Signed): unknown {
  const type = (headers['content-type'] ?? 'application/json').split(';')[0]!.trim().toLowerCase()
  const text = body.toString()
  if (type === 'application/json' || type.endsWith('+json')) return parseJson(text)
  if (type.startsWith('text/')) return text
  if (type !== 'application/x-www-form-urlencoded') return undefined
  const form = Object.fromEntries(new URLSearchParams(text))
  // GitHub and Slack put their JSON into a field of that name.
  return form.payload === undefined ? form : parseJson(form.payload)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new GatewayError('INVALID_REQUEST', 'The body is not JSON, which its content type says it is.')
  }
}

type Templates = Omit<ReturnType<typeof templatesOf>, 'url' | 'signed'>

/** @throws `INVALID_REQUEST` that names the path where something is missing. */
export function toMessage(
  values: { readonly payload: unknown; readonly headers: Signed['headers'] },
  proof: Proof,
  {
    templates,
    attachments,
    maxAttachmentBytes,
  }: {
    templates: Templates
    attachments: WebhookOptions['attachments']
    maxAttachmentBytes: number
  },
): IncomingMessage {
  const peer = templates.peer.fill(values)
  if (peer === '') {
    const where = templates.peer.paths.join(' or ')
    throw new GatewayError('INVALID_REQUEST', `The request has no peer: expected a value at ${where}.`)
  }
  return {
    id: idOf(templates.id === null ? proof.id : templates.id.fill(values)),
    peer,
    thread: templates.thread.fill(values) || null,
    sender: { id: templates.sender.fill(values) || peer },
    group: false,
    mentioned: false,
    text: templates.text === null ? defaultText(values.payload) : templates.text.fill(values),
    at: proof.at,
    attachments:
      attachments === undefined ? undefined : readAttachments(values, attachments, maxAttachmentBytes),
  }
}

/** Without anything that tells one request from the next, each is a new one. */
function idOf(given: string | null): string {
  if (!given) return randomUUID()
  return given.length <= MAX_ID_LENGTH ? given : createHash('sha256').update(given).digest('base64url')
}

function defaultText(payload: unknown): string {
  if (typeof payload === 'string') return payload
  const text = valueAt(payload, 'text') ?? valueAt(payload, 'content')
  return typeof text === 'string' ? text : JSON.stringify(payload)
}

function readAttachments(values: object, path: string, maxBytes: number): Static<typeof Attachments> {
  const list = valueAt(values, path) ?? []
  const error = Value.Errors(Attachments, list).First()
  if (error !== undefined || !Value.Check(Attachments, list)) {
    const where = `${path}${(error?.path ?? '').replaceAll('/', '.')}`
    throw new GatewayError(
      'INVALID_REQUEST',
      `An attachment at ${where} has not the shape {type, name?, url?, data?}.`,
    )
  }
  const long = list.findIndex(({ data }) => Buffer.byteLength(data ?? '', 'base64') > maxBytes)
  if (long < 0) return list
  throw new GatewayError(
    'INVALID_REQUEST',
    `The attachment at ${path}.${long} is longer than ${maxBytes} bytes.`,
  )
}
