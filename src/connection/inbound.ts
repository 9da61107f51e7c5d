import type { GatewayError } from '../protocol/errors.js'
import { RequestFrame } from '../protocol/frames.js'
import { Id, SessionKey } from '../protocol/primitives.js'

/** What the upgrade request said of the peer; forgotten once the hello is answered. */
export interface UpgradeInfo {
  readonly address: string
  /** The secret of `Authorization: Bearer` or the `bearer.` subprotocol. */
  readonly secret: string | null
  /** Why the credentials could not be read; refused at the hello. */
  readonly problem: GatewayError | null
}

const ID_MAX_LENGTH = Id.maxLength!
const METHOD_MAX_LENGTH = RequestFrame.properties.method.maxLength!
const SESSION_KEY_MAX_LENGTH = SessionKey.maxLength!
const SESSION_KEY = new RegExp(SessionKey.pattern!)

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object that a frame's text holds, or what is wrong with it. */
export function readFrame(text: string): Record<string, unknown> | string {
  try {
    const frame: unknown = JSON.parse(text)
    return isObject(frame) ? frame : 'frame: expected a JSON object'
  } catch {
    return 'frame: expected a JSON object, got text that is not JSON'
  }
}

/** The id of a frame, where one could be read. */
export function readFrameId(frame: unknown): string | null {
  const id = isObject(frame) ? frame.id : null
  return typeof id === 'string' && id.length > 0 && id.length <= ID_MAX_LENGTH ? id : null
}

export function isMethodName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= METHOD_MAX_LENGTH
}

export function isSessionKey(value: unknown): value is string {
  return typeof value === 'string' && value.length <= SESSION_KEY_MAX_LENGTH && SESSION_KEY.test(value)
}

const SNAKE_CASE: Record<string, string> = {
  min_protocol: 'minProtocol',
  max_protocol: 'maxProtocol',
  display_name: 'displayName',
  session_key: 'sessionKey',
}

/** The frame with the reference's snake_case names as camelCase, one level below as well (`client.display_name`). */
export function camelCased(frame: Record<string, unknown>, depth = 1): Record<string, unknown> {
  if (!hasSnakeCase(frame, depth)) return frame
  const result: Record<string, unknown> = Object.create(null)
  for (const [key, value] of Object.entries(frame)) {
    const name = Object.hasOwn(SNAKE_CASE, key) ? SNAKE_CASE[key]! : key
    if (name !== key && frame[name] !== undefined) continue
    result[name] = depth > 0 && isObject(value) ? camelCased(value, depth - 1) : value
  }
  return result
}

function hasSnakeCase(frame: Record<string, unknown>, depth: number): boolean {
  for (const key in frame) {
    if (Object.hasOwn(SNAKE_CASE, key)) return true
    const value = frame[key]
    if (depth > 0 && isObject(value) && hasSnakeCase(value, depth - 1)) return true
  }
  return false
}
