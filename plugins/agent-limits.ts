import fp from 'fastify-plugin'
import type { Gate } from '../src/agents/gate.js'
import { EVENTS, type EventContract } from '../src/protocol/index.js'

const STATES = ['closed', 'open', 'half-open'] as const

/** Tells of the limits of single agents: their breakers in health, metrics and events, and who waits. */
export default fp(
  async (app) => {
    const { agents, events, health, log } = app
    const { instruments } = app.metrics

    function* gates(): Generator<readonly [agent: string, gate: Gate]> {
      for (const name of agents.names()) {
        const gate = agents.get(name)?.gate
        if (gate !== undefined) yield [name, gate]
      }
    }

    function tell({ name }: EventContract, payload: object): void {
      events.broadcast({
        event: name,
        sessionKey: null,
        at: Date.now(),
        payload: JSON.stringify(payload),
        seq: 0,
      })
    }

    agents.onBuilt(({ name: agent, gate }) => {
      if (gate === undefined) return
      gate.onBreaker = (before) => {
        const { state, failures, limits } = gate.breaker!
        if (state === 'open' && before === 'closed') {
          log.warn({ agent, failures }, 'agent unavailable: its events wait')
          tell(EVENTS.agentUnavailable, { agent, failures, retryInMs: limits.openMs })
        } else if (state === 'closed') {
          log.info({ agent }, 'agent available again')
          tell(EVENTS.agentAvailable, { agent })
        }
      }
    })

    health.add('agents', () => {
      const problems: string[] = []
      for (const [name, { breaker }] of gates()) {
        if (breaker !== null && breaker.state !== 'closed')
          problems.push(`${name}: unavailable, its events wait`)
      }
      for (const [name, { status }] of app.workerPools()) {
        if (status.connected === 0) problems.push(`${name}: no worker is connected`)
      }
      return problems.length === 0 ? { status: 'ok' } : { status: 'degraded', message: problems.join('; ') }
    })

    instruments.gauge(
      'gateway_agent_breaker_state',
      '1 for the state that it is in.',
      ['agent', 'state'],
      (set) => {
        for (const [agent, { breaker }] of gates()) {
          if (breaker === null) continue
          for (const state of STATES) set({ agent, state }, breaker.state === state ? 1 : 0)
        }
      },
    )
    instruments.gauge('gateway_agent_lanes_waiting', 'Lanes that wait for an agent.', ['agent'], (set) => {
      for (const [agent, { waiting }] of gates()) set({ agent }, waiting)
    })
  },
  {
    name: 'agent-limits',
    dependencies: ['metrics', 'events', 'agents', 'workers', 'health'],
    fastify: '5.x',
  },
)
