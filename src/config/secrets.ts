const SECRET_NAME =
  /(?:key|token|secret|password|passphrase|passwd|credential|authorization|cookie)s?$|^(?:env|headers)$/i

/**
 * Whether an option of an agent, connector or plugin, of which no schema speaks, sounds like a secret, or like what often
 * holds some. `apiKeyEnv` and the like name an environment variable and are none.
 */
export function soundsSecret(name: string): boolean {
  return SECRET_NAME.test(name)
}

/** `https://user:password@host` → `https://[redacted]@host`. */
export function withoutCredentials(text: string): string {
  return text.replace(/:\/\/[^/?#\s]*@/g, '://[redacted]@')
}
