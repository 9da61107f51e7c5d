import { X509Certificate } from 'node:crypto'
import { chmodSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import { readTlsMaterial, type TlsMaterial } from '../auth/tls-material.js'
import { resolveConfigPath } from '../config/paths.js'
import { ConfigError } from '../config/problems.js'
import { type Check, error, info, inTime, type Observation, ok, reasonOf, warning } from './check.js'

const DAY_MS = 86_400_000
const SOON_DAYS = 30

export const certificates: Check = {
  name: 'certificates',
  async run({ loaded, publicTarget, now, fix, peerTimeoutMs }, signal) {
    if (loaded === null) return []
    const { tls, auth } = loaded.config
    const found = auth.jwt === undefined ? [] : await jwks(auth.jwt.jwksUri, peerTimeoutMs, signal)
    if (!tls.enabled || tls.cert === undefined || tls.key === undefined) {
      return [ok('TLS is off: there is no certificate.'), ...found]
    }
    const cert = resolveConfigPath(loaded.baseDir, tls.cert)
    const key = resolveConfigPath(loaded.baseDir, tls.key)
    try {
      const readable = keyMode(key, fix)
      const material = await readTlsMaterial(cert, key)
      const name = publicTarget === null ? null : new URL(publicTarget.url).hostname
      return [...judgeCertificate(material, now, name), ...readable, ...found]
    } catch (thrown) {
      if (!(thrown instanceof ConfigError)) throw thrown
      const remedy = 'Put a good one in its place; a running gateway picks it up by itself.'
      return [
        ...thrown.problems.map(({ path, source, message }) =>
          error(`${path}: ${message} (${source})`, remedy),
        ),
        ...found,
      ]
    }
  },
}

/** A group may be let in: that is how some share a key. */
function keyMode(path: string, fix: boolean): Observation[] {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0
  if (process.platform === 'win32' || (mode & 0o007) === 0) return []
  const found = (mode & 0o777).toString(8)
  if (fix) {
    chmodSync(path, mode & 0o770)
    return [info(`${path} was open to every user (mode ${found}); now it is not.`)]
  }
  return [error(`${path} is open to every user (mode ${found}).`, `chmod o-rwx '${path}'`, true)]
}

/** @param name that clients ask for; null: not known */
export function judgeCertificate(material: TlsMaterial, now: number, name: string | null): Observation[] {
  const { cert, certPath, expiresAt } = material
  const chain = chainOf(cert)
  const leaf = chain[0]!
  const found: Observation[] = []
  const days = Math.floor((expiresAt - now) / DAY_MS)
  if (days < SOON_DAYS) {
    const message = `${certPath} expires in ${days} days, on ${new Date(expiresAt).toISOString()}.`
    found.push(warning(message, 'Renew it: a running gateway picks up the new file by itself.'))
  }
  if (leaf.subjectAltName === undefined) {
    const message = `${certPath} names no host (subjectAltName), and no client takes it.`
    found.push(warning(message, 'Ask for a certificate with the host names that clients use.'))
  } else if (name !== null && !isFor(leaf, name)) {
    const message = `${certPath} is for ${leaf.subjectAltName}, and not for ${name}.`
    found.push(warning(message, `Ask for a certificate for ${name}.`))
  }
  const gap = judgeChain(chain)
  if (gap !== null)
    found.push(warning(`${certPath}: ${gap}`, 'Use the file with the whole chain, such as fullchain.pem.'))
  return found.length > 0
    ? found
    : [ok(`${certPath} is for ${leaf.subjectAltName}, good for ${days} more days.`)]
}

function chainOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => new X509Certificate(block))
}

const isFor = (leaf: X509Certificate, name: string): boolean =>
  (isIP(name) ? leaf.checkIP(name) : leaf.checkHost(name)) !== undefined

/** A server sends every certificate between its own and an authority that clients know. */
function judgeChain(chain: readonly X509Certificate[]): string | null {
  for (const [index, certificate] of chain.slice(0, -1).entries()) {
    if (!certificate.checkIssued(chain[index + 1]!)) {
      return `certificate ${index + 2} of the file has not issued certificate ${index + 1}.`
    }
  }
  const last = chain.at(-1)!
  if (last.checkIssued(last)) return null
  const isKnown = rootCertificates.some((pem) => last.checkIssued(new X509Certificate(pem)))
  return isKnown ? null : `the certificate of its issuer (${oneLine(last.issuer)}) is not in the file.`
}

const oneLine = (name: string): string => name.replaceAll('\n', ', ')

/** The identity provider is not a stranger: the gateway asks it as well. */
async function jwks(uri: string, timeoutMs: number, signal: AbortSignal): Promise<Observation[]> {
  const remedy = 'Check auth.jwt.jwksUri, and the way from this machine to it.'
  try {
    const keys = await inTime(timeoutMs, signal, (ending) => fetchKeys(uri, ending))
    return [ok(`auth.jwt.jwksUri answers with ${keys.length} keys.`)]
  } catch (thrown) {
    return [error(`auth.jwt.jwksUri cannot be fetched: ${reasonOf(thrown)}`, remedy)]
  }
}

async function fetchKeys(uri: string, signal: AbortSignal): Promise<unknown[]> {
  const headers = { accept: 'application/json' }
  const response = await fetch(uri, { redirect: 'error', signal, headers }).catch((thrown) => {
    // What is thrown itself only says that it failed.
    throw thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown
  })
  if (!response.ok) throw new Error(`it answers ${response.status}`)
  const { keys } = (await response.json()) as { keys?: unknown }
  if (!Array.isArray(keys) || keys.length === 0) throw new Error('it has no keys')
  return keys
}
