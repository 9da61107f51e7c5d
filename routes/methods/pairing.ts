import type { FastifyInstance } from 'fastify'
import { sessionKeyOf } from '../../src/connectors/address.js'
import { type PairingChoice, toPairing } from '../../src/connectors/pairing.js'
import { GatewayError, pairingApprove, pairingList, pairingReject } from '../../src/protocol/index.js'

/** `pairing.*`. */
export default async function pairingMethods(app: FastifyInstance): Promise<void> {
  const { pairing } = app

  app.method(pairingList, ({ state }, { principal }) => ({
    pairings: pairing
      .list()
      .filter(({ channel, target }) => principal.allowsSession(sessionKeyOf(channel, target)))
      .map((record) => toPairing(record, principal.scopes.has('admin')))
      .filter((item) => state === undefined || item.state === state),
  }))

  app.method(pairingApprove, async ({ group, ...choice }, { principal }) => ({
    pairing: toPairing(await pairing.approve(choiceOf(choice), principal.name, group), false),
  }))

  app.method(pairingReject, async (choice, { principal }) => {
    await pairing.reject(choiceOf(choice), principal.name)
    return { rejected: true as const }
  })
}

function choiceOf({
  code,
  channel,
  peer,
}: {
  code?: string
  channel?: string
  peer?: string
}): PairingChoice {
  if (code !== undefined) return { code }
  if (channel !== undefined && peer !== undefined) return { channel, peer }
  const path = 'params.code'
  const expected = 'a code, or `channel` and `peer`'
  throw new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}
