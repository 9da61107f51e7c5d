import { basename } from 'node:path/posix'
import type { Static } from '@sinclair/typebox'
import type { Message } from 'grammy/types'
import type { Log } from '../../log.js'
import type { Attachment as AttachmentSchema } from '../../protocol/index.js'
import type { Client } from './client.js'

type Attachment = Static<typeof AttachmentSchema>

/** A file of a message, not yet downloaded. */
export interface FileOf {
  readonly fileId: string
  /** As Telegram says it, in bytes. */
  readonly size: number | undefined
  readonly type: string
  readonly name: string
}

/** What an attachment may hold. */
const MAX_NAME = 256
const MAX_TYPE = 128

/** The file of a message: it has one at most, since each picture of an album is a message. */
export function fileOf(message: Message): FileOf | null {
  const { photo, animation, document, audio, voice, video, video_note: note, sticker } = message
  // The sizes of one picture, the largest last.
  if (photo?.length) return file(photo.at(-1)!, 'image/jpeg', 'photo.jpg')
  // An animation is a document, too.
  if (animation) return file(animation, 'video/mp4', 'animation.mp4')
  if (document) return file(document, 'application/octet-stream', 'document')
  if (audio) return file(audio, 'audio/mpeg', 'audio.mp3')
  if (voice) return file(voice, 'audio/ogg', 'voice.ogg')
  if (video) return file(video, 'video/mp4', 'video.mp4')
  if (note) return file(note, 'video/mp4', 'video-note.mp4')
  if (!sticker) return null
  if (sticker.is_animated) return file(sticker, 'application/x-tgsticker', 'sticker.tgs')
  return sticker.is_video
    ? file(sticker, 'video/webm', 'sticker.webm')
    : file(sticker, 'image/webp', 'sticker.webp')
}

interface FileLike {
  readonly file_id: string
  readonly file_size?: number
  readonly mime_type?: string
  readonly file_name?: string
}

function file({ file_id, file_size, mime_type, file_name }: FileLike, type: string, name: string): FileOf {
  return {
    fileId: file_id,
    size: file_size,
    type: (mime_type || type).slice(0, MAX_TYPE),
    name: (file_name || name).slice(0, MAX_NAME),
  }
}

export interface Taken {
  readonly attachment: Attachment
  /** Why it comes without its data. */
  readonly missing: 'too large' | 'failed' | null
}

export interface FetchOptions {
  readonly client: Client
  readonly maxBytes: number
  readonly timeoutMs: number
  readonly log: Log
}

/** Downloads a file; what cannot be had comes as its name alone. Rejects only when `signal` aborts. */
export async function takeFile(file: FileOf, options: FetchOptions, signal: AbortSignal): Promise<Taken> {
  const { type, name, size = 0 } = file
  const without = (missing: Taken['missing']): Taken => ({ attachment: { type, name }, missing })
  if (size > options.maxBytes) return without('too large')
  try {
    const data = await download(
      file,
      options,
      AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]),
    )
    if (data === null) return without('too large')
    return { attachment: { type, name, data: data.toString('base64') }, missing: null }
  } catch {
    signal.throwIfAborted()
    // Neither the error nor the path is logged: with the URL goes the token.
    options.log.warn({ fileId: file.fileId, type }, 'a file could not be downloaded from Telegram')
    return without('failed')
  }
}

async function download(file: FileOf, options: FetchOptions, signal: AbortSignal): Promise<Buffer | null> {
  const { api, download } = options.client
  const { file_path: path } = await api.getFile({ file_id: file.fileId }, signal)
  if (!path) throw new Error('no path')
  return await download(path, options.maxBytes, signal)
}

/** A name that can stand in the head of a form's part. */
export function fileName({ name, type }: Attachment): string {
  const clean = basename(name ?? '').replace(/[\p{Cc}";\\]/gu, '_')
  return clean || `file.${/^\w+\/(?:x-)?(\w+)/.exec(type)?.[1] ?? 'bin'}`
}
