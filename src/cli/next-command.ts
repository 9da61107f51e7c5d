import { profileOf } from '../config/paths.js'

/** `lurkbot …` as it is to be typed to reach the same state folder. */
export function nextCommand(words: string, env = process.env): string {
  const profile = profileOf(env)
  return profile === null ? `lurkbot ${words}` : `lurkbot --profile ${profile} ${words}`
}

/** Lines of advice: commands, and what each does, in two columns. */
export function nextCommands(commands: readonly (readonly [words: string, does: string])[]): string[] {
  const typed = commands.map(([words, does]) => [nextCommand(words), does] as const)
  const width = Math.max(...typed.map(([command]) => command.length))
  return typed.map(([command, does]) => `${command.padEnd(width)}   ${does}`)
}
