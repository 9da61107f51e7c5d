import type { FastifyInstance } from 'fastify'
import type { Principal } from '../../src/auth/principal.js'
import { sessionKeyOf } from '../../src/connectors/address.js'
import { type PairingChoice, toPairing } from '../../src/connectors/pairing.js'
import type { PeerRecord } from '../../src/journal/peers.js'
import { GatewayError, pairingApprove, pairingList, pairingReject } from '../../src/protocol/index.js'

/** `pairing.*`. */
export default async function pairingMethods(app: FastifyInstance): Promise<void> {
  const { pairing } = app

  app.method(pairingList, ({ state }, { principal }) => ({
    pairings: pairing
      .list()
      .filter((record) => maySee(record, principal))
      .map((record) => toPairing(record, principal.scopes.has('admin')))
      .filter((item) => state === undefined || item.state === state),
  }))

  app.method(pairingApprove, async ({ group, ...given }, { principal }) => {
    const choice = choiceOf(given, principal)
    return { pairing: toPairing(await pairing.approve(choice, principal.name, group), false) }
  })

  app.method(pairingReject, async (given, { principal }) => {
    await pairing.reject(choiceOf(given, principal), principal.name)
    return { rejected: true as const }
  })

  function choiceOf({ code, channel, peer }: Choice, principal: Principal): PairingChoice {
    const choice = readChoice(code, channel, peer)
    if (maySee(pairing.find(choice), principal)) return choice
    throw new GatewayError('FORBIDDEN', 'These credentials do not cover that conversation.')
  }
}

interface Choice {
  code?: string
  channel?: string
  peer?: string
}

function readChoice(code?: string, channel?: string, peer?: string): PairingChoice {
  if (code !== undefined) return { code }
  if (channel !== undefined && peer !== undefined) return { channel, peer }
  const path = 'params.code'
  const expected = 'a code, or `channel` and `peer`'
  throw new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}

function maySee({ channel, target }: PeerRecord, principal: Principal): boolean {
  return principal.allowsSession(sessionKeyOf(channel, target))
}
