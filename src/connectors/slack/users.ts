import type { WebClient } from '@slack/web-api'
import { Recent } from '../recent.js'

const CAPACITY = 1_000
const FRESH_MS = 3_600_000
/** Without the scope `users:read` each call fails: they are few. */
const RETRY_MS = 300_000

/** Names of users, asked for once an hour. */
export class UserNames {
  readonly #names = new Recent<{ readonly name: Promise<string>; until: number }>(CAPACITY)

  /** The id, where there is no name to be had. */
  nameOf(user: string, api: WebClient): Promise<string> {
    const known = this.#names.get(user)
    if (known !== undefined && known.until > Date.now()) return known.name
    const entry = { name: Promise.resolve(user), until: Date.now() + FRESH_MS }
    entry.name = api.users.info({ user }).then(
      ({ user: found }) => found?.profile?.display_name || found?.real_name || found?.name || user,
      () => {
        entry.until = Date.now() + RETRY_MS
        return user
      },
    )
    this.#names.set(user, entry)
    return entry.name
  }
}
