/**
 * JSON values as Go prints them (`map[image:x ports:[80 443]]`) and Go's words for their types,
 * which upstream's words of refusal show of a value that does not fit.
 */
import { isMembers } from '#kit/members.ts';

export function goText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`;
  if (!isMembers(value)) return value === null ? '<nil>' : String(value);
  const members = Object.keys(value).sort();
  return `map[${members.map((key) => `${key}:${goText(value[key])}`).join(' ')}]`;
}

export function goTypeWord(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}
