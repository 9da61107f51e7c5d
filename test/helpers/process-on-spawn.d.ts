declare module 'process-on-spawn' {
  /** What a process is about to be started with; `env` may be replaced. */
  interface StartingProcess {
    env: NodeJS.ProcessEnv
  }
  const processOnSpawn: { addListener(listener: (child: StartingProcess) => void): void }
  export default processOnSpawn
}
