import type { Static } from '@sinclair/typebox'
import type { WebClient } from '@slack/web-api'
import { GatewayError } from '../../protocol/errors.js'
import type { Attachment } from '../../protocol/index.js'
import { download } from '../download.js'
import type { SlackFile } from './event.js'

type File = Static<typeof Attachment>

/** How long the transfer of one file may take. */
const FILE_TIMEOUT_MS = 15_000

export interface FetchFileOptions {
  readonly botToken: string
  readonly apiUrl: string
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** With its content where that can be had, else with a link that needs a login. */
export async function fetchFile(file: SlackFile, options: FetchFileOptions): Promise<File> {
  const attachment: File = {
    type: file.mimetype?.slice(0, 128) || 'application/octet-stream',
    ...(file.name && { name: file.name.slice(0, 256) }),
  }
  const bytes = await contentOf(file, options).catch(() => undefined)
  if (bytes !== undefined) return { ...attachment, data: bytes.toString('base64') }
  const url = file.permalink ?? file.url_private
  return url === undefined || url.length > 4096 ? attachment : { ...attachment, url }
}

async function contentOf(file: SlackFile, options: FetchFileOptions): Promise<Buffer | undefined> {
  const { botToken, apiUrl, maxBytes, signal } = options
  if (file.url_private === undefined || (file.size ?? 0) > maxBytes) return undefined
  const url = new URL(file.url_private)
  // Files that are only linked from Slack are elsewhere, where the token must not go.
  if (!isSlacks(url, new URL(apiUrl))) return undefined
  const { bytes, type } = await download(url, {
    maxBytes,
    timeoutMs: FILE_TIMEOUT_MS,
    headers: { authorization: `Bearer ${botToken}` },
    signal,
  })
  // Without the scope `files:read` Slack answers with its login page.
  const loginPage = type === 'text/html' && file.mimetype !== 'text/html'
  return loginPage || (file.size !== undefined && file.size !== bytes.length) ? undefined : bytes
}

function isSlacks(url: URL, api: URL): boolean {
  if (url.host === api.host) return url.protocol === api.protocol
  return url.protocol === 'https:' && /(^|\.)slack\.com$/.test(url.hostname)
}

/** Uploads a file that nobody sees until it is shared; its id. https://docs.slack.dev/messaging/working-with-files#upload */
export async function uploadFile(
  web: WebClient,
  { name, data }: File & { data: string },
  signal: AbortSignal,
): Promise<string> {
  const bytes = Buffer.from(data, 'base64')
  const { upload_url, file_id } = await web.files.getUploadURLExternal({
    filename: name ?? 'file',
    length: bytes.length,
  })
  // The URL is made for this one upload and needs no token.
  const response = await fetch(upload_url!, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: new Uint8Array(bytes),
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(FILE_TIMEOUT_MS)]),
  })
  await response.body?.cancel()
  if (!response.ok)
    throw new GatewayError('UNAVAILABLE', `Slack did not take a file: HTTP ${response.status}.`)
  return file_id!
}
