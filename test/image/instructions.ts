export interface Instruction {
  /** In capitals. */
  readonly name: string
  readonly text: string
}

export interface Stage {
  /** Of `FROM … AS name`, or its number. */
  readonly name: string
  readonly instructions: readonly Instruction[]
}

/** What a Dockerfile says before its first FROM, and its stages. Variables of `ARG` are left in FROM. */
export function parseDockerfile(text: string): {
  readonly args: readonly Instruction[]
  readonly stages: readonly Stage[]
} {
  const args: Instruction[] = []
  const stages: { name: string; instructions: Instruction[] }[] = []
  for (const { name, text: words } of instructionsOf(text)) {
    if (name === 'FROM') {
      const as = / AS (\S+)$/i.exec(words)
      stages.push({ name: as?.[1] ?? `${stages.length}`, instructions: [] })
    } else if (stages.length === 0) args.push({ name, text: words })
    else stages.at(-1)!.instructions.push({ name, text: words })
  }
  return { args, stages }
}

/** A backslash at a line's end goes on in the next one; comments and empty lines do not count, also there. */
function instructionsOf(text: string): Instruction[] {
  const whole = text
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll(/\\\n/g, '')
  return whole.split('\n').map((line) => {
    const [, name, words] = /^(\S+)\s+(.*)$/.exec(line)!
    return { name: name!.toUpperCase(), text: words!.trim() }
  })
}

/** `A=1 B="two words"`. */
export function assignmentsOf(text: string): Record<string, string> {
  const found = text.matchAll(/([A-Za-z_][\w.]*)=("(?:[^"\\]|\\.)*"|\S*)/g)
  return Object.fromEntries([...found].map(([, name, value]) => [name, value!.replaceAll(/^"|"$/g, '')]))
}

/** The JSON form of CMD and HEALTHCHECK, which no shell sees. @throws for the other form */
export function execForm(text: string): string[] {
  return JSON.parse(text.replace(/^.*?\bCMD\s+/, '')) as string[]
}

/** Which top-level files and folders belong to the build context: of `.dockerignore` the forms `*` and `!name`, and no other. */
export function contextOf(dockerignore: string): string[] {
  const lines = dockerignore.split('\n').filter((line) => !/^\s*(#|$)/.test(line))
  const [first, ...rest] = lines
  if (first !== '*' || !rest.every((line) => /^![\w.-]+$/.test(line))) {
    throw new Error('.dockerignore says more than this reads: * first, then one !name a line')
  }
  return rest.map((line) => line.slice(1))
}
