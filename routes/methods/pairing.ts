import type { FastifyInstance } from 'fastify'
import type { Devices } from '../../src/auth/devices.js'
import type { Principal } from '../../src/auth/principal.js'
import { grant } from '../../src/auth/rights.js'
import { sessionKeyOf } from '../../src/connectors/address.js'
import { type PairingChoice, toPairing } from '../../src/connectors/pairing.js'
import type { PeerRecord } from '../../src/journal/peers.js'
import type { RequestContext } from '../../src/methods/registry.js'
import { GatewayError, pairingApprove, pairingList, pairingReject } from '../../src/protocol/index.js'

/** `pairing.*`: of the people on channels, and of devices. */
export default async function pairingMethods(app: FastifyInstance): Promise<void> {
  const { pairing, devices } = app

  app.method(pairingList, ({ state }, { principal }) => {
    const isAdmin = principal.scopes.has('admin')
    const peers = pairing
      .list()
      .filter((record) => maySee(record, principal))
      .map((record) => toPairing(record, isAdmin))
    const asking = isAdmin && devices !== null ? devices.pending() : []
    return { pairings: [...peers, ...asking].filter((item) => state === undefined || item.state === state) }
  })

  app.method(pairingApprove, async ({ group, name, role, scopes, sessions, limits, ...given }, context) => {
    const { principal } = context
    const device = findDevice(devices, given)
    if (device !== null) {
      note(context, { deviceId: device.deviceId })
      const rights = grant({ role, scopes, sessions, limits }, principal)
      return { pairing: await devices!.approve(device.deviceId, rights, name, principal) }
    }
    const choice = choiceOf(given, context)
    return { pairing: toPairing(await pairing.approve(choice, principal.name, group), false) }
  })

  app.method(pairingReject, async (given, context) => {
    const { principal } = context
    const device = findDevice(devices, given)
    if (device !== null) {
      note(context, { deviceId: device.deviceId })
      await devices!.remove(device.deviceId, principal)
    } else await pairing.reject(choiceOf(given, context), principal.name)
    return { rejected: true as const }
  })

  function choiceOf(given: Choice, context: RequestContext): PairingChoice {
    const choice = readChoice(given)
    const record = pairing.find(choice)
    note(context, { channel: record.channel, peer: record.peer })
    if (maySee(record, context.principal)) return choice
    throw new GatewayError('FORBIDDEN', 'These credentials do not cover that conversation.')
  }
}

interface Choice {
  code?: string
  channel?: string
  peer?: string
  requestId?: string
}

/** Null: it is none of a device. @throws `NOT_FOUND`. */
function findDevice(devices: Devices | null, { requestId, code }: Choice): { deviceId: string } | null {
  if (requestId === undefined) return code === undefined ? null : (devices?.find({ code }) ?? null)
  const found = devices?.find({ requestId }) ?? null
  if (found !== null) return found
  throw new GatewayError('NOT_FOUND', 'No device asks so, or not any more; pairing.list names all.')
}

function readChoice({ code, channel, peer }: Choice): PairingChoice {
  if (code !== undefined) return { code }
  if (channel !== undefined && peer !== undefined) return { channel, peer }
  const path = 'params.code'
  const expected = 'a code, a `requestId`, or `channel` and `peer`'
  throw new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}

/** For the audit log: a code does not say who it was. */
function note(context: RequestContext, target: Record<string, string>): void {
  context.target = { ...context.target, ...target }
}

function maySee({ channel, target }: PeerRecord, principal: Principal): boolean {
  return principal.allowsSession(sessionKeyOf(channel, target))
}
