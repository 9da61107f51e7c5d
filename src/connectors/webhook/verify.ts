import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Webhook } from 'standardwebhooks'
import { GatewayError } from '../../protocol/errors.js'
import type { EndpointRequest } from '../connector.js'
import type { Template } from '../template.js'
import type { WebhookOptions } from './options.js'

export type Signed = Pick<EndpointRequest, 'headers' | 'body'>

/**
 * What of a request only who knows a secret could have made: null where its body may be sent again by anybody else. It tells a
 * request that comes again from a new one.
 */
export interface Proof {
  readonly id: string | null
  /** When it was signed. Milliseconds since the Unix epoch. */
  readonly at?: number
}

/** @throws `UNAUTHORIZED` for a request that does not come from whoever has a secret, or is too old. */
export type Verify = (request: Signed) => Proof

export async function createVerify(
  options: WebhookOptions,
  secrets: readonly string[],
  signed: Template,
): Promise<Verify> {
  switch (options.verify) {
    case 'standard-webhooks': {
      const { Webhook } = await import('standardwebhooks')
      return standardWebhooks(secrets.map((secret) => new Webhook(secret)))
    }
    case 'hmac':
      return hmac(options.hmac, secrets, signed)
    case 'token':
      return token(options, secrets)
    case 'none':
      return () => ({ id: null })
  }
}

/** https://www.standardwebhooks.com; requests more than five minutes old or ahead are refused. */
function standardWebhooks(hooks: readonly Webhook[]): Verify {
  return ({ headers, body }) => {
    const named = {
      'webhook-id': required(headers, 'webhook-id'),
      'webhook-timestamp': required(headers, 'webhook-timestamp'),
      'webhook-signature': required(headers, 'webhook-signature'),
    }
    let refusal: unknown
    for (const hook of hooks) {
      try {
        hook.verify(body, named, { jsonParse: false })
        return { id: named['webhook-id'], at: Number.parseInt(named['webhook-timestamp'], 10) * 1000 }
      } catch (error) {
        refusal = error
      }
    }
    if (refusal instanceof Error && /timestamp/.test(refusal.message))
      throw notInTime('webhook-timestamp', 300)
    throw mismatch('webhook-signature')
  }
}

function hmac(options: WebhookOptions['hmac'], secrets: readonly string[], signed: Template): Verify {
  const { header, algorithm, encoding, prefix, timestampHeader, toleranceS } = options
  return ({ headers, body }) => {
    const signature = required(headers, header)
    const timestamp = timestampHeader === undefined ? undefined : required(headers, timestampHeader)
    const given = signature.startsWith(prefix) ? signature.slice(prefix.length) : ''
    // Filled in as Latin-1, the body keeps its bytes, whatever they are.
    const content = Buffer.from(signed.fill({ timestamp, body: body.toString('latin1') }), 'latin1')
    const isMade = (secret: string) => {
      const made = createHmac(algorithm, secret).update(content).digest(encoding)
      return isEqual(made, encoding === 'hex' ? given.toLowerCase() : given)
    }
    if (!secrets.some(isMade)) throw mismatch(header)
    const id = createHash('sha256').update(content).digest('base64url')
    if (timestamp === undefined || timestampHeader === undefined) return { id }
    const at = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) * 1000 : Number.NaN
    if (!(Math.abs(Date.now() - at) <= toleranceS * 1000)) throw notInTime(timestampHeader, toleranceS)
    return { id, at }
  }
}

function token({ tokenHeader, tokenPrefix }: WebhookOptions, secrets: readonly string[]): Verify {
  return ({ headers }) => {
    const value = required(headers, tokenHeader)
    const given = value.startsWith(tokenPrefix) ? value.slice(tokenPrefix.length) : ''
    if (!secrets.some((secret) => isEqual(secret, given))) {
      throw new GatewayError('UNAUTHORIZED', `The token in ${tokenHeader} is not the right one.`)
    }
    return { id: null }
  }
}

/** In a time that says nothing of the secret, its length included. */
function isEqual(secret: string, given: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(secret), digest(given))
}

function required(headers: Signed['headers'], name: string): string {
  const value = headers[name]
  if (value) return value
  throw new GatewayError('UNAUTHORIZED', `The header ${name} is missing.`)
}

function mismatch(header: string): GatewayError {
  return new GatewayError('UNAUTHORIZED', `The signature in ${header} does not match the request.`)
}

function notInTime(header: string, toleranceS: number): GatewayError {
  const message = `The time in ${header} is more than ${toleranceS} s from the gateway's.`
  return new GatewayError('UNAUTHORIZED', message)
}
