/**
 * Single values of an open store, for people: as they are kept, and away with one that nobody can
 * read. What can be read is removed through the API only, where others are told and finalizers
 * count.
 */
import type { Store } from '#store';

/** In base64. */
export async function storedValue(store: Store, key: string): Promise<string | undefined> {
  const value = store.atRest === undefined ? store.get(key)?.value : await store.atRest.stored(key);
  return value === undefined ? undefined : Buffer.from(value).toString('base64');
}

export async function removeUnreadable(store: Store, key: string): Promise<void> {
  if (store.atRest?.why(key) === undefined) {
    throw new Error(`${key} is not a value that cannot be read; others go with kubectl delete`);
  }
  await store.delete({ key, expect: 'any' });
}
