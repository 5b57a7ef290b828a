/**
 * One value as it lies in the file of a store that nobody has open, for people who want to see.
 *
 * The file has no index by key, so this reads it all; it is asked for once in a while, by hand.
 */
import { openExisting } from './sqlite-file.ts';

export function storedValue(options: {
  readonly file: string;
  readonly key: string;
}): Uint8Array | undefined {
  const { file, key } = options;
  const database = openExisting(file);
  try {
    const newest = 'select value from log where key = ? order by revision desc limit 1';
    const { value } = database.prepare(newest).get(key) ?? {};
    return value instanceof Uint8Array ? value : undefined;
  } finally {
    database.close();
  }
}
