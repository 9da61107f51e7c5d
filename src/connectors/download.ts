export interface DownloadOptions {
  /** More is not read. */
  readonly maxBytes: number
  readonly timeoutMs: number
  readonly headers?: Record<string, string>
  readonly signal: AbortSignal
}

export interface Downloaded {
  readonly bytes: Buffer
  /** The media type as the server gives it, without parameters; empty where it gives none. */
  readonly type: string
}

/**
 * A file of a message. Redirects are not followed: they lead to login pages, and would take the headers along.
 *
 * @throws when it cannot be had or is longer than `maxBytes`; the error may hold the URL
 */
export async function download(url: URL, options: DownloadOptions): Promise<Downloaded> {
  const { maxBytes, timeoutMs, headers } = options
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, options.signal, AbortSignal.timeout(timeoutMs)])
  try {
    const response = await fetch(url, { ...(headers && { headers }), redirect: 'manual', signal })
    if (response.status !== 200 || response.body === null) throw new Error(`HTTP status ${response.status}`)
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of response.body) {
      length += chunk.byteLength
      if (length > maxBytes) throw new Error(`longer than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
    const type = response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
    return { bytes: Buffer.concat(chunks), type }
  } finally {
    // Frees the connection of a response that was not read to its end.
    stop.abort()
  }
}
