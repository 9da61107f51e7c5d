/** As SQLite compares: by UTF-8 bytes, which differs from JavaScript's order beyond the basic plane. */
export const compareText = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
