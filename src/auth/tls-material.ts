import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { resolveConfigPath } from '../config/paths.js'
import { ConfigError, type Problem } from '../config/problems.js'

/** A certificate chain and its key that were checked, as they were in their files. */
export interface TlsMaterial {
  readonly certPath: string
  readonly keyPath: string
  /** PEM. */
  readonly cert: string
  /** PEM. Secret. */
  readonly key: string
  /** When the first certificate of the chain ends, ms since the epoch. */
  readonly expiresAt: number
  /** What works but should not stay so; each is a sentence that names the file. */
  readonly warnings: readonly string[]
}

const DAY_MS = 86_400_000
/** A certificate is “soon expiring” below this, or below a fifth of its lifetime if that is less. */
const SOON_MS = 14 * DAY_MS
/** More than any chain has. */
const MAX_FILE_BYTES = 1_048_576

/**
 * Reads and checks the files of `tls.cert` and `tls.key`.
 *
 * @param files their paths; relative ones start at `baseDir`.
 * @throws ConfigError with everything that is wrong, each with the file's path and what was expected.
 */
export async function loadTlsMaterial(files: {
  cert: string
  key: string
  baseDir: string
}): Promise<TlsMaterial> {
  return readTlsMaterial(
    resolveConfigPath(files.baseDir, files.cert),
    resolveConfigPath(files.baseDir, files.key),
  )
}

/** The same, with absolute paths. */
export async function readTlsMaterial(certPath: string, keyPath: string): Promise<TlsMaterial> {
  const problems: Problem[] = []
  const warnings: string[] = []
  const report = (path: string, source: string) => (message: string) => {
    problems.push({ path, source, message })
  }
  const certProblem = report('tls.cert', certPath)
  const keyProblem = report('tls.key', keyPath)

  const certFile = await readPem(certPath, certProblem)
  const keyFile = await readPem(keyPath, keyProblem)
  const leaf = certFile && parseChain(certFile.text, certProblem)
  const key = keyFile && parseKey(keyFile.text, keyProblem)
  if (leaf) checkDates(leaf, certPath, certProblem, warnings)
  if (keyFile && process.platform !== 'win32' && (keyFile.mode & 0o007) !== 0) {
    const mode = (keyFile.mode & 0o777).toString(8)
    warnings.push(
      `The private key ${keyPath} may be read by every user (mode ${mode}); chmod 600 is expected.`,
    )
  }
  if (leaf && key && !leaf.checkPrivateKey(key)) {
    keyProblem(`expected the private key of the certificate in ${certPath}, found another one`)
  }
  if (problems.length === 0) checkUsable(certFile!.text, keyFile!.text, certProblem)
  if (problems.length > 0) throw new ConfigError(problems)
  const expiresAt = Date.parse(leaf!.validTo)
  return { certPath, keyPath, cert: certFile!.text, key: keyFile!.text, expiresAt, warnings }
}

/** What `https.createServer` and `setSecureContext` are given. */
export function secureContextOptions({ cert, key }: TlsMaterial): {
  cert: string
  key: string
  minVersion: 'TLSv1.2'
} {
  return { cert, key, minVersion: 'TLSv1.2' }
}

type Reporter = (message: string) => void

async function readPem(path: string, problem: Reporter): Promise<{ text: string; mode: number } | null> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    const stat = await file.stat()
    if (!stat.isFile() || stat.size > MAX_FILE_BYTES) {
      problem(`expected a PEM file of at most ${MAX_FILE_BYTES} bytes`)
      return null
    }
    return { text: await file.readFile('latin1'), mode: stat.mode }
  } catch (error) {
    problem(`expected a PEM file that can be read: ${(error as Error).message}`)
    return null
  } finally {
    await file?.close()
  }
}

/** The first certificate of the chain, once all of them parse. */
function parseChain(text: string, problem: Reporter): X509Certificate | null {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) {
    problem('expected a PEM certificate chain, found no CERTIFICATE block')
    return null
  }
  const chain = blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch {
      problem(
        `expected a PEM certificate chain, but certificate ${index + 1} of ${blocks.length} does not parse`,
      )
      return null
    }
  })
  return chain.includes(null) ? null : chain[0]!
}

function parseKey(text: string, problem: Reporter): KeyObject | null {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    problem('expected a PEM private key without a passphrase, found an encrypted one')
    return null
  }
  try {
    return createPrivateKey(text)
  } catch {
    // OpenSSL's message says which decoder failed, which helps nobody.
    problem(
      `expected a PEM private key, found ${text.includes('PRIVATE KEY-----') ? 'a damaged one' : 'none'}`,
    )
    return null
  }
}

function checkDates(leaf: X509Certificate, path: string, problem: Reporter, warnings: string[]): void {
  const from = Date.parse(leaf.validFrom)
  const to = Date.parse(leaf.validTo)
  const now = Date.now()
  if (to <= now) problem(`expected a valid certificate, found one that expired on ${iso(to)}`)
  else if (from > now)
    problem(`expected a valid certificate, found one that is not valid before ${iso(from)}`)
  else if (to - now < Math.min(SOON_MS, (to - from) / 5)) {
    warnings.push(`The certificate ${path} expires soon, on ${iso(to)}.`)
  }
}

/** What only OpenSSL knows, such as a key too short for its security level. */
function checkUsable(cert: string, key: string, problem: Reporter): void {
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    problem(`expected a certificate and key that TLS can use: ${(error as Error).message}`)
  }
}

function iso(time: number): string {
  return new Date(time).toISOString()
}
