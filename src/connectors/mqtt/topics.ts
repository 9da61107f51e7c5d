/** MQTT 5, 4.7.1.3: a filter that begins with a wildcard matches no topic that begins with `$`. */
export function matches(filter: string, topic: string): boolean {
  const wanted = filter.split('/')
  const levels = topic.split('/')
  if (topic.startsWith('$') && (wanted[0] === '#' || wanted[0] === '+')) return false
  for (const [i, level] of wanted.entries()) {
    if (level === '#') return true
    if (i >= levels.length || (level !== '+' && level !== levels[i])) return false
  }
  return wanted.length === levels.length
}

/** What is left of `$share/<group>/<filter>` (MQTT 5, 4.8.2). */
export function withoutShare(filter: string): string {
  return filter.replace(/^\$share\/[^/]+\//, '')
}

export function isFilter(filter: string): boolean {
  const levels = withoutShare(filter).split('/')
  return (
    isText(filter) &&
    levels.every(
      (level, i) =>
        !/[+#]./.test(level) && !/.[+#]/.test(level) && (level !== '#' || i === levels.length - 1),
    )
  )
}

/** Whether something can be published there. */
export function isTopic(topic: string): boolean {
  return isText(topic) && !/[+#]/.test(topic)
}

/** MQTT 5, 4.7.3 and 1.5.4. */
function isText(text: string): boolean {
  return (
    text !== '' && !text.includes('\0') && !/\p{Surrogate}/u.test(text) && Buffer.byteLength(text) <= 65_535
  )
}
