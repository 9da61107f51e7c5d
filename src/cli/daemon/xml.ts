const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

const CHARACTERS = Object.fromEntries(
  Object.entries(ENTITIES).map(([character, entity]) => [entity, character]),
)

/** The reverse of `xml`. */
export function text(escaped: string): string {
  return escaped.replace(/&(?:amp|lt|gt|quot);/g, (entity) => CHARACTERS[entity]!)
}

/** Text for an element or an attribute of XML. */
export function xml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => ENTITIES[character]!)
}
