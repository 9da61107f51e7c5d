/** What is used of irc-framework 4.14, which has no types of its own. */
declare module 'irc-framework' {
  export interface IrcTransport {
    close(force?: boolean): void
  }

  export interface ClientOptions {
    host: string
    port: number
    nick: string
    username?: string
    gecos?: string
    /** Empty: a CTCP VERSION is not answered. */
    version?: string
    password?: string
    account?: { account?: string; password?: string }
    auto_reconnect?: boolean
    /** Seconds; 0: none. */
    ping_interval?: number
    ping_timeout?: number
    enable_echomessage?: boolean
    transport?: new (options: ClientOptions) => IrcTransport
    tls?: boolean
    rejectUnauthorized?: boolean
    ca?: string | Buffer
  }

  /** One line, parsed. */
  export interface IrcMessage {
    readonly command: string
    readonly params: readonly string[]
  }

  export interface MessageEvent {
    readonly from_server: boolean
    readonly nick: string
    readonly ident: string
    readonly hostname: string
    readonly target: string
    readonly message: string
    readonly tags: Readonly<Record<string, string>>
    readonly time?: number
    readonly account?: string
    readonly batch?: { readonly type: string }
  }

  export interface ClientEvents {
    registered: (event: { nick: string }) => void
    motd: (event: object) => void
    close: (failed: boolean) => void
    'socket close': (error: Error | false) => void
    'ping timeout': () => void
    'nick in use': (event: { nick: string; reason: string }) => void
    'nick invalid': (event: { nick: string; reason: string }) => void
    'sasl failed': (event: { reason: string; message?: string }) => void
    loggedin: (event: { account: string }) => void
    'irc error': (event: { error: string; reason?: string }) => void
    privmsg: (event: MessageEvent) => void
    action: (event: MessageEvent) => void
    notice: (event: MessageEvent) => void
    pong: (event: { message: string }) => void
    join: (event: { nick: string; channel: string }) => void
    part: (event: { nick: string; channel: string; message: string }) => void
    /** `error`: there is nobody of that nick. */
    whois: (event: { nick: string; error?: string }) => void
    kick: (event: { kicked: string; nick: string; channel: string; message: string }) => void
  }

  export class Client {
    constructor(options?: ClientOptions)
    readonly user: { readonly nick: string }
    readonly network: {
      readonly cap: { isEnabled(name: string): boolean }
      isChannelName(name: string): boolean
    }
    readonly connection: {
      readonly transport: IrcTransport | null
      end(): void
      on(event: 'message', listener: (message: IrcMessage) => void): void
    }
    connect(options?: ClientOptions): void
    quit(message?: string): void
    raw(...words: string[]): void
    say(target: string, text: string): void
    notice(target: string, text: string): void
    action(target: string, text: string): void
    join(channel: string, key?: string): void
    part(channel: string, message?: string): void
    ping(token: string): void
    changeNick(nick: string): void
    caseLower(text: string): string
    caseCompare(one: string, other: string): boolean
    on<E extends keyof ClientEvents>(event: E, listener: ClientEvents[E]): this
    once<E extends keyof ClientEvents>(event: E, listener: ClientEvents[E]): this
  }

  const framework: { readonly Client: typeof Client }
  export default framework
}
