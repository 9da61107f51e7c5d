import { Type } from '@sinclair/typebox'
import { contract } from 'lurkbot-gateway/protocol'

/** The one place of its shape: validation, the catalogue and the types of the handler come from it. */
export const transcriptsGet = contract({
  name: 'transcripts.get',
  summary: 'The newest messages of a session as Markdown.',
  scope: 'read',
  session: 'required',
  large: true,
  params: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500 })) }),
  result: Type.Object({ markdown: Type.String() }),
})

/** Whether the caller may read the session is checked before the handler is called, and so are `params`. */
export default async function transcriptsPlugin(app, { heading = 'Conversation' }) {
  app.method(transcriptsGet, async ({ limit = 50 }, { sessionKey }) => {
    const { messages } = await app.conversations.history(sessionKey, { limit })
    const said = messages.map(({ role, sender, content }) => `**${sender ?? role}**\n\n${content}`)
    return { markdown: [`# ${heading}`, ...said].join('\n\n') }
  })
}
