/**
 * More of texts: parts, places, cases, splitting and joining, patterns. Places count characters.
 *
 * `format` is in `formatting.ts`.
 *
 * Behaviour: cel-go, extension "Strings" version 2; kubernetes.io, "Common Expression Language",
 * regex functions.
 */
import type { Library } from '../functions.ts';
import { compileRegExp } from '../regular-expression.ts';
import { CelError, type CelValue } from '../values.ts';
import { formatText } from './formatting.ts';

export const stringsLibrary: Library = {
  'string_char_at_int: string::charAt(int) -> string': (text: string, index: bigint) => {
    const characters = [...text];
    if (index < 0n || index > characters.length) throw outOfRange(index);
    return characters[Number(index)] ?? '';
  },
  'string_index_of_string: string::indexOf(string) -> int': (text: string, part: string) =>
    indexOf(text, part, 0n),
  'string_index_of_string_int: string::indexOf(string, int) -> int': indexOf,
  'string_last_index_of_string: string::lastIndexOf(string) -> int': (
    text: string,
    part: string,
  ) => {
    const length = BigInt([...text].length);
    return part === '' ? length : lastIndexOf(text, part, length - 1n);
  },
  'string_last_index_of_string_int: string::lastIndexOf(string, int) -> int': lastIndexOf,
  'string_lower_ascii: string::lowerAscii() -> string': (text: string) =>
    text.replace(/[A-Z]+/g, (one) => one.toLowerCase()),
  'string_replace_string_string: string::replace(string, string) -> string': (
    text: string,
    from: string,
    to: string,
  ) => replace(text, from, to, -1n),
  'string_replace_string_string_int: string::replace(string, string, int) -> string': replace,
  'string_split_string: string::split(string) -> list(string)': (text: string, by: string) =>
    split(text, by),
  'string_split_string_int: string::split(string, int) -> list(string)': (
    text: string,
    by: string,
    count: bigint,
  ) => {
    if (count === 0n) return [];
    const parts = split(text, by);
    if (count < 0n || parts.length <= count) return parts;
    const most = Number(count) - 1;
    return [...parts.slice(0, most), parts.slice(most).join(by)];
  },
  'string_substring_int: string::substring(int) -> string': (text: string, start: bigint) => {
    const characters = [...text];
    if (start < 0n || start > characters.length) throw outOfRange(start);
    return characters.slice(Number(start)).join('');
  },
  'string_substring_int_int: string::substring(int, int) -> string': (
    text: string,
    start: bigint,
    end: bigint,
  ) => {
    if (start > end) throw new CelError(`invalid substring range. start: ${start}, end: ${end}`);
    const characters = [...text];
    for (const one of [start, end]) {
      if (one < 0n || one > characters.length) throw outOfRange(one);
    }
    return characters.slice(Number(start), Number(end)).join('');
  },
  'string_trim: string::trim() -> string': (text: string) => text.trim(),
  'string_upper_ascii: string::upperAscii() -> string': (text: string) =>
    text.replace(/[a-z]+/g, (one) => one.toUpperCase()),
  'string_format: string::format(list(dyn)) -> string': formatText,
  'strings_quote: strings.quote(string) -> string': quote,
  'list_join: list(string)::join() -> string': (list: readonly CelValue[]) => join(list, ''),
  'list_join_string: list(string)::join(string) -> string': join,
  'string_find_string: string::find(string) -> string': (text: string, pattern: string) =>
    find(text, pattern, 1)[0] ?? '',
  'string_find_all_string: string::findAll(string) -> list(string)': (
    text: string,
    pattern: string,
  ) => find(text, pattern),
  'string_find_all_string_int: string::findAll(string, int) -> list(string)': (
    text: string,
    pattern: string,
    count: bigint,
  ) => find(text, pattern, count < 0n ? undefined : Number(count)),
};

function outOfRange(index: bigint): CelError {
  return new CelError(`index out of range: ${index}`);
}

function indexOf(text: string, part: string, from: bigint): bigint {
  if (part === '') return from;
  if (from < 0n) throw outOfRange(from);
  const [characters, wanted] = [[...text], [...part]];
  for (let index = Number(from); index + wanted.length <= characters.length; index++) {
    if (wanted.every((one, offset) => characters[index + offset] === one)) return BigInt(index);
  }
  return -1n;
}

function lastIndexOf(text: string, part: string, from: bigint): bigint {
  if (part === '') return from;
  const [characters, wanted] = [[...text], [...part]];
  if (from < 0n) {
    if (characters.length === 0) return -1n;
    throw outOfRange(from);
  }
  if (from >= characters.length) return -1n;
  for (let index = Math.min(Number(from), characters.length - wanted.length); index >= 0; index--) {
    if (wanted.every((one, offset) => characters[index + offset] === one)) return BigInt(index);
  }
  return -1n;
}

/** At most so many, all where the count is negative; an empty part is before every character. */
function replace(text: string, from: string, to: string, count: bigint): string {
  const parts = from === '' ? ['', ...text, ''] : text.split(from);
  if (from === '' && text === '') return count === 0n ? '' : to;
  const most = count < 0n ? parts.length - 1 : Math.min(Number(count), parts.length - 1);
  const head = parts.slice(0, most).map((part) => part + to);
  return head.join('') + parts.slice(most).join(from);
}

function split(text: string, by: string): readonly string[] {
  return by === '' ? [...text] : text.split(by);
}

function join(list: readonly CelValue[], separator: string): string {
  const texts = list.map((one) => {
    if (typeof one !== 'string') throw new CelError(`join: invalid input: ${String(one)}`);
    return one;
  });
  return texts.join(separator);
}

const quoted: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

function quote(text: string): string {
  return `"${[...text].map((one) => quoted[one] ?? one).join('')}"`;
}

function find(text: string, pattern: string, countMax?: number): readonly string[] {
  const compiled = compileRegExp(pattern);
  if (typeof compiled === 'string') throw new CelError(`Illegal regex: ${compiled}`);
  return compiled.find(text, countMax);
}
