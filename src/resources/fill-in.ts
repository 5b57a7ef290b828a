/**
 * Defaulting without changing what is given: copies are made only where something is missing, so
 * that an object which says everything passes through as it is.
 */

/** Sets the members that are absent; for texts, empty counts as absent, as it does upstream. */
export function fillIn<T extends object>(object: T, defaults: Partial<T>): T {
  let filled: T | undefined;
  for (const key in defaults) {
    const value = defaults[key];
    const current = object[key];
    if (value === undefined) continue;
    // Upstream shows null where some fields have nothing; see `WireFacts`.
    if (current !== undefined && current !== null && !(current === '' && typeof value === 'string'))
      continue;
    filled ??= { ...object };
    // It is not undefined; the compiler cannot follow that through the key.
    filled[key] = value as T[typeof key];
  }
  return filled ?? object;
}

/** The same, but a text that is empty stands: it is for validation to refuse it. */
export function fillAbsent<T extends object>(object: T, defaults: Partial<T>): T {
  const missing = Object.entries(defaults).filter(([key]) => !Object.hasOwn(object, key));
  return missing.length === 0 ? object : { ...object, ...Object.fromEntries(missing) };
}

/** Replaces one member by what `change` makes of it, if it is there. */
export function changeMember<T extends object, K extends keyof T>(
  object: T,
  key: K,
  change: (value: Exclude<T[K], undefined>) => T[K],
): T {
  const value = object[key];
  // Lists may come as null, which is as good as absent.
  if (value === undefined || value === null) return object;
  // The check above has taken undefined away; the compiler cannot follow it through the key.
  const changed = change(value as Exclude<T[K], undefined>);
  return changed === value ? object : { ...object, [key]: changed };
}

/** As `map`, but the same list where no item changed. */
export function mapItems<T>(list: readonly T[], change: (item: T) => T): readonly T[] {
  let changed: T[] | undefined;
  for (const [index, item] of list.entries()) {
    const next = change(item);
    if (next === item) continue;
    changed ??= [...list];
    changed[index] = next;
  }
  return changed ?? list;
}

/** Removes members, copying only where one is there. */
export function without<T extends object, K extends keyof T>(
  object: T,
  ...keys: readonly K[]
): Omit<T, K> {
  if (keys.every((key) => object[key] === undefined)) return object;
  // What `delete` leaves behind is slow to copy and to write, ever after.
  let rest: Partial<T> = object;
  for (const key of keys) {
    const { [key]: _gone, ...kept } = rest;
    // All that was there but the key.
    rest = kept as Partial<T>;
  }
  // Every key has gone.
  return rest as Omit<T, K>;
}

/** Lists that upstream shows as null where they are empty (see `WireFacts`). */
export function nullWhereEmpty<T extends object>(object: T, ...keys: readonly (keyof T)[]): T {
  let next = object;
  for (const key of keys) {
    const value = next[key];
    if (Array.isArray(value) && value.length === 0) next = { ...next, [key]: null };
  }
  return next;
}
