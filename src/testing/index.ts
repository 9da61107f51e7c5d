/** The shared behaviour suites: what an implementation of one of the gateway's interfaces must do. */
export * from './agent-suite.js'
export * from './connector-suite.js'
export * from './journal-suite.js'
