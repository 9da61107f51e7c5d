/** Cuts text into its lines; what follows the last line break is a line, too. */
export class LineStream extends TransformStream<string, string> {
  constructor() {
    let rest = ''
    super({
      transform: (text, controller) => {
        const lines = text.split('\n')
        // Only the piece is searched: a long line is put together, not read again and again.
        rest += lines[0]
        for (const line of lines.slice(1)) {
          controller.enqueue(rest)
          rest = line
        }
      },
      flush: (controller) => {
        if (rest !== '') controller.enqueue(rest)
      },
    })
  }
}
