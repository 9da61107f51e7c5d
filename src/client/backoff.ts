export interface ReconnectPolicy {
  /** Wait before the first try, in milliseconds; doubles with each. Default: 250. */
  readonly minMs: number
  /** The longest wait, in milliseconds. Default: 15000. */
  readonly maxMs: number
  /** The share of the wait that is random, 0 to 1, so that many clients do not come back at once. Default: 0.5. */
  readonly jitter: number
}

/** Milliseconds to wait before try number `attempt`, counted from 1. */
export function backoffMs(policy: ReconnectPolicy, attempt: number, random = Math.random): number {
  const full = Math.min(policy.maxMs, policy.minMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(full * (1 - policy.jitter * random()))
}
