import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { DeviceKey } from './device.js'

/** A new private key, PKCS #8 in PEM, for a file that only its owner may read. */
export function createDevicePem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

/** @throws TypeError for what is no Ed25519 private key. */
export function deviceKeyOfPem(pem: string): DeviceKey {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new TypeError(`expected an Ed25519 key, found ${key.asymmetricKeyType}`)
  }
  return {
    publicKey: createPublicKey(key).export({ format: 'jwk' }).x!,
    sign: async (data) => sign(null, data, key),
  }
}
