declare module 'process-on-spawn' {
  const processOnSpawn: { addListener: () => void }
  export default processOnSpawn
}
