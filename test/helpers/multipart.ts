export interface FormFile {
  readonly name: string
  readonly text: string
}

/** A JSON body, or a form whose field `payload_json` is it and whose other fields are files. */
export async function readBody(
  type: string,
  bytes: Buffer,
): Promise<{ body: Record<string, unknown>; files: FormFile[] }> {
  if (!type.startsWith('multipart/')) {
    return { body: bytes.length === 0 ? {} : JSON.parse(bytes.toString()), files: [] }
  }
  const form = await new Response(new Uint8Array(bytes), { headers: { 'content-type': type } }).formData()
  const files: FormFile[] = []
  for (const value of form.values()) {
    if (typeof value !== 'string') files.push({ name: value.name, text: await value.text() })
  }
  return { body: JSON.parse(String(form.get('payload_json'))), files }
}
