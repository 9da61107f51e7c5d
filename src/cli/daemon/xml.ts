const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text for an element or an attribute of XML. */
export function xml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]!)
}
