/**
 * A setting that cannot be used, from wherever it came: a flag, a file, a variable. The message
 * names it, and is all that the user is shown. In a file of its own because what reads settings
 * for `config.ts` throws it too.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
