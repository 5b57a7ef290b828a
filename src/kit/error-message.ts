/**
 * What a caught value says, in one line: for conditions, Events and answers that carry somebody
 * else's failure. Anything can be thrown; logs get the value itself, with its stack and cause.
 */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
