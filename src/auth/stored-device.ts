import { GatewayError } from '../protocol/errors.js'
import type { Device } from '../protocol/identity.js'
import type { DevicePairing } from '../protocol/pairing.js'
import type { Rights } from './rights.js'

/** A device that asks to be let in, or was; as it is stored. */
export interface StoredDevice {
  readonly deviceId: string
  readonly requestId: string
  readonly publicKey: string
  readonly name: string
  readonly clientId: string
  readonly platform: string
  readonly address: string
  readonly code: string
  readonly requestedAt: number
  readonly expiresAt: number
  readonly approval: {
    readonly at: number
    readonly by: string
    readonly rights: Rights
  } | null
  /** SHA-256 of its own token, hexadecimal; null: it was not given one. */
  readonly tokenDigest: string | null
  readonly lastSeenAt: number | null
}

export function toPairing(device: StoredDevice): DevicePairing {
  const { requestId, deviceId, name, clientId, platform, address, code, requestedAt, expiresAt, approval } =
    device
  const isPending = approval === null
  return {
    kind: 'device',
    state: isPending ? 'pending' : 'approved',
    requestId,
    deviceId,
    name,
    clientId,
    platform,
    address,
    code: isPending ? code : null,
    requestedAt,
    expiresAt: isPending ? expiresAt : null,
    approvedAt: approval?.at ?? null,
    approvedBy: approval?.by ?? null,
  }
}

export function toDevice(device: StoredDevice, connections: number): Device {
  const { deviceId, name, publicKey, clientId, platform, tokenDigest, lastSeenAt } = device
  const { at, by, rights } = device.approval!
  const { role, scopes, sessions } = rights
  return {
    deviceId,
    name,
    role,
    scopes: [...scopes],
    sessions: sessions === null ? null : [...sessions],
    publicKey,
    clientId,
    platform,
    hasToken: tokenDigest !== null,
    approvedAt: at,
    approvedBy: by,
    lastSeenAt,
    connections,
  }
}

export function notPaired({ requestId, deviceId, code, expiresAt }: StoredDevice): GatewayError {
  const message = 'This device is not known; an operator has to approve it.'
  return new GatewayError('NOT_PAIRED', message, { details: { requestId, deviceId, code, expiresAt } })
}

export function notFound(): GatewayError {
  return new GatewayError('NOT_FOUND', 'Nobody asks so, or not any more; pairing.list names all.')
}
