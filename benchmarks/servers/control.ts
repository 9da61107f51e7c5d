import { readdirSync } from 'node:fs'
import { cpuUsage, memoryUsage } from 'node:process'

/** What the benchmark asks of a server process, over IPC. */
export type Command =
  /** With `collect`, garbage is collected first: for memory. It costs CPU that no operation asked for. */
  | { readonly do: 'usage'; readonly collect: boolean }
  /** Sends `count` events to everyone, `burst` in one turn. */
  | { readonly do: 'publish'; readonly count: number; readonly burst: number }

export interface Usage {
  /** CPU of the process, user and system, in microseconds. */
  readonly cpuUs: number
  readonly rss: number
  readonly heapUsed: number
  /** What keeps the process going: sockets, timers, threads. */
  readonly handles: number
  /** Open files; 0 where the system does not tell. */
  readonly descriptors: number
  readonly journalBytes: number
}

/** Answers the benchmark's commands; `publish` sends one event. */
export function serveControl(
  url: string,
  publish: (n: number) => void,
  journalBytes: () => number = () => 0,
): void {
  process.on('message', (command: Command) => {
    if (command.do === 'usage') {
      if (command.collect) globalThis.gc?.()
      const { user, system } = cpuUsage()
      const { rss, heapUsed } = memoryUsage()
      const handles = process.getActiveResourcesInfo().length
      process.send!({
        ...{ cpuUs: user + system, rss, heapUsed, handles },
        descriptors: process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0,
        journalBytes: journalBytes(),
      } satisfies Usage)
      return
    }
    let sent = 0
    const turn = () => {
      for (let i = 0; i < command.burst && sent < command.count; i++) publish(sent++)
      if (sent < command.count) setTimeout(turn, 1)
      else process.send!('published')
    }
    turn()
  })
  process.on('disconnect', () => process.exit(0))
  process.send!({ url })
}
