import test from 'node:test'
import { agentSuite } from 'lurkbot-gateway/testing'
import { createBackwardsAgent } from './index.js'

// What every agent must do; further tests of one's own go below.
agentSuite(test, async () => ({
  agent: createBackwardsAgent({ pauseMs: 1 }),
  ask: { content: 'one two three', answer: 'three two one', streams: true },
  hang: 'word '.repeat(100_000),
}))
