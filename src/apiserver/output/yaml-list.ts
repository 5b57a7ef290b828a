/**
 * A list in YAML, object by object with other requests in between: to write all of a long list in
 * one go would keep the thread for seconds. Keys are in order, as upstream writes them. Loaded with
 * the first list that is asked for so.
 */
import { formatSortedYaml } from '#kit/yaml.ts';
import { textOf } from '../registry.ts';
import { entryWriter, type ListBodyOptions, listHead, nextTurn, sliceMs } from './list-body.ts';

export async function* yamlList(options: ListBodyOptions): AsyncGenerator<Uint8Array, void> {
  const { entries, clock } = options;
  const write = entryWriter(options);
  // What stands before the items in order, and what comes after them.
  const text = textOf(listHead(options));
  const field = text.endsWith('"rows":[') ? 'rows' : 'items';
  const outside: Readonly<Record<string, unknown>> = JSON.parse(`${text}]}`);
  const fields = Object.keys(outside).filter((key) => key !== field);
  const pick = (isHere: (key: string) => boolean): string => {
    const chosen = fields.filter(isHere).map((key) => [key, outside[key]]);
    return chosen.length === 0 ? '' : formatSortedYaml(Object.fromEntries(chosen));
  };
  const start = entries.length === 0 ? `${field}: []\n` : `${field}:\n`;
  yield Buffer.from(`${pick((key) => key < field)}${start}`);
  let startedMs = clock.monotonic();
  let written = '';
  for (const entry of entries) {
    const pieces: Uint8Array[] = [];
    write(entry, pieces);
    written += formatSortedYaml([JSON.parse(textOf(Buffer.concat(pieces)))]);
    if (clock.monotonic() - startedMs < sliceMs) continue;
    yield Buffer.from(written);
    written = '';
    await nextTurn();
    startedMs = clock.monotonic();
  }
  yield Buffer.from(`${written}${pick((key) => key > field)}`);
}
