import type { SystemdNotifier } from '../lifecycle/systemd-notify.js'
import type { Foreground } from './foreground.js'

/** The gateway as a service of systemd, which is told how it is; otherwise this does nothing. */
export class Service {
  readonly #gateway: Foreground
  #notifier: SystemdNotifier | null = null
  #isBusy = false

  constructor(gateway: Foreground) {
    this.#gateway = gateway
  }

  async connect(): Promise<void> {
    if (!process.env.NOTIFY_SOCKET) return
    const { SystemdNotifier } = await import('../lifecycle/systemd-notify.js')
    this.#notifier = SystemdNotifier.fromEnv(process.env, (err) => {
      const { log } = this.#gateway
      if (log === null) console.error(`systemd-notify failed: ${err.message}`)
      else log.error({ err }, 'systemd-notify failed: systemd does not know how the gateway is')
    })
  }

  /** Does nothing where the start was given up. */
  ready(): void {
    const { place } = this.#gateway
    if (place !== null) void this.#notifier?.ready(`Ready at ${place.url}`)
  }

  stopping(): void {
    void this.#notifier?.stopping(this.#gateway.stopLimitMs)
  }

  /** Runs `work`, which ends with a gateway that serves or with the end of the process. */
  async during(status: string, work: () => Promise<void>): Promise<void> {
    if (this.#isBusy) return work()
    this.#isBusy = true
    void this.#notifier?.reloading(status)
    await work()
    this.#isBusy = false
    this.ready()
  }
}
