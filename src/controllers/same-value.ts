/**
 * Whether two values of the API mean the same: the order of keys does not count, and what is
 * absent, null or an empty list is all the same nothing; so is an empty map of labels or the like.
 * An empty object elsewhere is something (`emptyDir: {}`).
 *
 * Used to find the ReplicaSet of a template and to leave out writes that would change nothing.
 */
const mapFields: ReadonlySet<string> = new Set([
  'annotations',
  'labels',
  'limits',
  'nodeSelector',
  'requests',
]);

export function isSameValue(a: unknown, b: unknown, field = ''): boolean {
  if (a === b) return true;
  if (isNothing(a, field) || isNothing(b, field)) return isNothing(a, field) && isNothing(b, field);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => isSameValue(item, b[index]));
  }
  const one = new Map<string, unknown>(Object.entries(a));
  const other = new Map<string, unknown>(Object.entries(b));
  for (const [key, value] of one) if (!isSameValue(value, other.get(key), key)) return false;
  for (const [key, value] of other) if (!one.has(key) && !isNothing(value, key)) return false;
  return true;
}

function isNothing(value: unknown, field: string): boolean {
  if (value === undefined || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && mapFields.has(field) && Object.keys(value).length === 0;
}
