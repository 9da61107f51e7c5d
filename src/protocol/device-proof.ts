/** The first line of what a device signs: names the protocol and this use of the key, so that no signature serves another. */
const PURPOSE = 'lurkbot-device-v1'

export interface DeviceChallenge {
  readonly nonce: string
  readonly epoch: string
}

/**
 * The bytes that a device signs with its Ed25519 key (spec §5): UTF-8, one a line, without a line feed at the end: the
 * purpose, the challenge's nonce and epoch, the public key as base64url, the `client.id` of the hello. That comes last, as it
 * alone may have line feeds in it.
 */
export function deviceProof(
  { nonce, epoch }: DeviceChallenge,
  publicKey: string,
  clientId: string,
): Uint8Array {
  return new TextEncoder().encode([PURPOSE, nonce, epoch, publicKey, clientId].join('\n'))
}
