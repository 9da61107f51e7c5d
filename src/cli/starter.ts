/** What a gateway in the background tells the command that started it. */
export type StarterMessage =
  | {
      readonly type: 'ready'
      readonly url: string
      readonly wsUrl: string
      readonly version: string
      readonly startedAt: number
      readonly home: string
      readonly profile: string | null
      readonly configFile: string | null
      readonly logFile: string | null
    }
  /** In the words of a start in the foreground; the exit code says the rest. */
  | { readonly type: 'failed'; readonly message: string }

/** False: nobody waits any more. Afterwards the two have nothing more to say to each other. */
export function tellStarter(message: StarterMessage): boolean {
  if (process.send === undefined || !process.connected) return false
  process.send(message, undefined, undefined, () => {
    if (process.connected) process.disconnect()
  })
  return true
}
