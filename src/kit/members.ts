/**
 * JSON objects, told apart from the other values of JSON: what has members, by name.
 *
 * For code that walks values whose type nobody has promised: patches, bodies before they are
 * decoded, settings.
 */
export type Members = Readonly<Record<string, unknown>>;

export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
