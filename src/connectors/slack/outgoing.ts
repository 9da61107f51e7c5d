import type { WebClient } from '@slack/web-api'
import type { OutgoingPart, Sent, Target } from '../connector.js'
import { Recent } from '../recent.js'
import type { SlackApi } from './api.js'
import { platformCode, slackError } from './errors.js'
import { uploadFile } from './files.js'
import { escapeText, withoutBroadcast } from './mrkdwn.js'
import type { SlackOptions } from './options.js'

/** Runs whose preview is remembered; one that is not stays as it is. */
const MAX_PREVIEWS = 1_000
/** Slack takes 12,000 characters of Markdown; links to attachments come on top of a part's text. */
const MAX_TEXT = 11_500
/** Why a message that was shown cannot be edited any more. */
const GONE = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed', 'is_inactive'])

interface Posted {
  readonly channel: string
  readonly ts: string
}

/** What is said on Slack: messages, their previews and files. */
export class Outgoing {
  readonly #api: SlackApi
  readonly #format: SlackOptions['format']
  readonly #previews = new Recent<Posted>(MAX_PREVIEWS)

  constructor(api: SlackApi, format: SlackOptions['format']) {
    this.#api = api
    this.#format = format
  }

  /** As Slack gets it. */
  render(text: string): string {
    return this.#format === 'markdown' ? withoutBroadcast(text) : escapeText(text)
  }

  async send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    const web = this.#api(signal)
    const files = part.attachments.filter((attachment) => attachment.data !== undefined)
    const text = this.#withLinks(part)
    try {
      if (files.length > 0) return await this.#share(web, part, files as WithData[], text, signal)
      const preview = part.part === 1 && part.runId !== null ? this.#previews.get(part.runId) : undefined
      const edited = preview && (await this.#edit(web, preview, text))
      const { ts } = edited ? preview : await this.#post(web, part.target, text)
      if (edited) this.#previews.delete(part.runId!)
      return { messageId: ts }
    } catch (error) {
      throw slackError(error, 'sending a message')
    }
  }

  async preview(target: Target, runId: string, text: string, signal: AbortSignal): Promise<void> {
    const web = this.#api(signal)
    const shown = this.#previews.get(runId)
    try {
      if (shown === undefined) this.#previews.set(runId, await this.#post(web, target, text))
      else await this.#edit(web, shown, text)
    } catch (error) {
      throw slackError(error, 'showing a preview')
    }
  }

  async discard(runId: string, signal: AbortSignal): Promise<void> {
    const shown = this.#previews.get(runId)
    if (shown === undefined) return
    this.#previews.delete(runId)
    try {
      await this.#api(signal).chat.delete({ ...shown })
    } catch (error) {
      if (!GONE.has(platformCode(error) ?? '')) throw slackError(error, 'removing a preview')
    }
  }

  async #post(web: WebClient, { peer, thread }: Target, text: string): Promise<Posted> {
    const rendered = this.render(text)
    const { channel, ts } = await web.chat.postMessage({
      channel: peer,
      ...(thread !== null && { thread_ts: thread }),
      ...(this.#format === 'markdown' ? { markdown_text: rendered } : { text: rendered }),
      unfurl_links: false,
      unfurl_media: false,
    })
    // For a user's id, Slack names the conversation that it opened.
    return { channel: channel ?? peer, ts: ts! }
  }

  /** False: the message is no longer there. */
  async #edit(web: WebClient, { channel, ts }: Posted, text: string): Promise<boolean> {
    const rendered = this.render(text)
    try {
      await web.chat.update(
        this.#format === 'markdown'
          ? { channel, ts, markdown_text: rendered }
          : { channel, ts, text: rendered },
      )
      return true
    } catch (error) {
      if (GONE.has(platformCode(error) ?? '')) return false
      throw error
    }
  }

  /** In one step with the text, so that a try that fails has shown nothing. */
  async #share(
    web: WebClient,
    { target, runId, part }: OutgoingPart,
    attachments: readonly WithData[],
    text: string,
    signal: AbortSignal,
  ): Promise<Sent> {
    const ids: string[] = []
    for (const attachment of attachments) ids.push(await uploadFile(web, attachment, signal))
    const [first, ...others] = ids.map((id) => ({ id }))
    await web.files.completeUploadExternal({
      files: [first!, ...others],
      channel_id: target.peer,
      ...(target.thread !== null && { thread_ts: target.thread }),
      // It takes no Markdown.
      ...(text !== '' && { initial_comment: escapeText(text) }),
    })
    if (part === 1 && runId !== null) await this.discard(runId, signal).catch(() => {})
    return { messageId: null }
  }

  /** With the attachments that are links, as far as there is room. */
  #withLinks({ text, attachments }: OutgoingPart): string {
    let all = text
    for (const { name, url, data } of attachments) {
      if (data !== undefined || url === undefined) continue
      const line = `${all === '' ? '' : '\n'}${name === undefined ? url : `${name}: ${url}`}`
      if (this.render(all + line).length <= MAX_TEXT) all += line
    }
    return all
  }
}

type WithData = OutgoingPart['attachments'][number] & { readonly data: string }
