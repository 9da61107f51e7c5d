import { randomUUID } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { generate } from 'selfsigned'

export interface Certificate {
  cert: string
  key: string
}

const DAY_MS = 86_400_000

/** A certificate for `name`, localhost and 127.0.0.1 that signs itself, valid from `fromDays` to `toDays` from now. */
export async function createCertificate({
  name = 'localhost',
  fromDays = -30,
  toDays = 365,
} = {}): Promise<Certificate> {
  const pems = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() + fromDays * DAY_MS),
    notAfterDate: new Date(Date.now() + toDays * DAY_MS),
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          ...(name === 'localhost' ? [] : [{ type: 2 as const, value: name }]),
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  return { cert: pems.cert, key: pems.private }
}

/** Replaces a file as certificate tools do: by a rename. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, content, { mode: 0o600 })
  await rename(draft, path)
}
