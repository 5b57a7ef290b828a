/**
 * An object as the API sent it, without what is `null` in it. To Kubernetes a list or a field that
 * is null is one that is not there; readers of this program know only the latter. Pure.
 *
 * Called where objects come in (`kubelet.ts`, `watched-objects.ts`), so that nobody behind it has
 * to think of it. What has no nulls is returned as it is, not copied.
 */
export function withoutNulls<T>(value: T): T {
  // The type has no nulls; what was sent may have.
  return clean(value) as T;
}

function clean(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map(clean);
    return items.every((item, index) => item === value[index]) ? value : items;
  }
  const entries = Object.entries(value);
  const cleaned = entries
    .filter(([, field]) => field !== null)
    .map(([name, field]) => [name, clean(field)] as const);
  const isSame =
    cleaned.length === entries.length &&
    cleaned.every(([, field], index) => field === entries[index]?.[1]);
  return isSame ? value : Object.fromEntries(cleaned);
}
