import { type SecretRule, secretOption } from '../config/secret-option.js'

/** A line break in it would end the protocol's line. */
const PASSWORD: SecretRule = {
  is: 'the password',
  pattern: '^[^\\u0000\\r\\n]+$',
  expected: 'a password without line breaks',
}

/** `password`, or `passwordEnv`. */
export const password = secretOption('password', PASSWORD)

/** The same where there is no other way to sign in. */
export const requiredPassword = secretOption('password', { ...PASSWORD, required: true })
