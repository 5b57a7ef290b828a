/**
 * JSON text of a request → values. The fast path is `JSON.parse`; where a caller wants to know
 * about keys that occur twice (fieldValidation Strict or Warn), those of the text and of the value
 * are counted, and only where the text has more is it scanned to find which.
 *
 * The scanner runs on text that `JSON.parse` has accepted, so it need not look for errors.
 */
import { type ApiError, badRequest } from './errors.ts';
import { jsonProblem } from './json-syntax.ts';

export interface ParsedJson {
  readonly json: unknown;
  /** `duplicate field "spec.replicas"`, for the strict decoder. */
  readonly problems: readonly string[];
}

/** Deeper nesting is refused, as upstream does, before anything walks it. */
const depthMax = 10_000;
/** Down to which its keys are counted, one call in another. */
const countedDepthMax = 500;
const [quote, backslash, colon] = [0x22, 0x5c, 0x3a];
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];

/** A mark of the byte order is no JSON. */
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

export interface ParseOptions {
  readonly duplicates?: boolean;
  /** The answer to a text that is no JSON. */
  readonly refuse?: (why: string) => ApiError;
}

export function parseJson(
  bytes: Uint8Array,
  { duplicates = false, refuse = unrecognized }: ParseOptions = {},
): ParsedJson {
  const text = decoder.decode(bytes);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // Letter by letter of what came: what is no text is told of by its byte.
    throw refuse(jsonProblem(Buffer.from(bytes).toString('latin1')));
  }
  if (text.length > 2 * depthMax && depthOf(bytes) > depthMax) {
    throw refuse('exceeded max depth');
  }
  // Of keys that occur twice the value has one: only then does the longer way find which.
  const isSuspect = duplicates && keysInText(text) !== keysInValue(json);
  return { json, problems: isSuspect ? duplicateKeys(text) : [] };
}

function keysInText(text: string): number {
  let count = 0;
  let position = text.indexOf('"');
  while (position >= 0) {
    position = endOfString(text, position);
    if (isColonNext(text, position)) count += 1;
    position = text.indexOf('"', position);
  }
  return count;
}

/** White space may come before it. */
function isColonNext(text: string, position: number): boolean {
  let at = position;
  let letter = text.charCodeAt(at);
  while (letter === 0x20 || letter === 0x0a || letter === 0x0d || letter === 0x09) {
    at += 1;
    letter = text.charCodeAt(at);
  }
  return letter === colon;
}

/** No number where it is nested so deeply that the longer way has to look. */
function keysInValue(value: unknown, depth = 0): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (depth > countedDepthMax) return Number.NaN;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) count += keysInValue(item, depth + 1);
    return count;
  }
  // What was parsed has members of its own only.
  const members = value as Readonly<Record<string, unknown>>;
  for (const key in members) count += 1 + keysInValue(members[key], depth + 1);
  return count;
}

function unrecognized(why: string): ApiError {
  return badRequest(`couldn't get version/kind; json parse error: ${why}`);
}

/** How deep valid JSON is nested. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === backslash) at += 1;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === openBrace || byte === openBracket) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (byte === closeBrace || byte === closeBracket) depth -= 1;
  }
  return deepest;
}

interface Level {
  readonly path: string;
  /** Keys seen so far; undefined inside a list. */
  readonly keys: Set<string> | undefined;
  key: string;
  index: number;
}

/** Finds keys that occur twice in one object of valid JSON text. */
function duplicateKeys(text: string): readonly string[] {
  const problems: string[] = [];
  const stack: Level[] = [];
  let expectKey = false;
  let position = 0;
  while (position < text.length) {
    const letter = text[position];
    const level = stack[stack.length - 1];
    if (letter === '"') {
      const end = endOfString(text, position);
      if (expectKey && level?.keys !== undefined) {
        const raw = text.slice(position, end);
        const key: string = raw.includes('\\') ? JSON.parse(raw) : raw.slice(1, -1);
        level.key = key;
        if (level.keys.has(key)) problems.push(`duplicate field "${childPath(level)}"`);
        level.keys.add(key);
        expectKey = false;
      }
      position = end;
      continue;
    }
    if (letter === '{' || letter === '[') {
      const path = level === undefined ? '' : childPath(level);
      stack.push({ path, keys: letter === '{' ? new Set() : undefined, key: '', index: 0 });
      expectKey = letter === '{';
    } else if (letter === '}' || letter === ']') {
      stack.pop();
      expectKey = false;
    } else if (letter === ',' && level !== undefined) {
      if (level.keys === undefined) level.index += 1;
      else expectKey = true;
    }
    position += 1;
  }
  return problems;
}

function childPath(level: Level): string {
  if (level.keys === undefined) return `${level.path}[${level.index}]`;
  return level.path === '' ? level.key : `${level.path}.${level.key}`;
}

/** Position behind the closing quote of the string that starts at `start`. */
function endOfString(text: string, start: number): number {
  let position = text.indexOf('"', start + 1);
  while (isEscaped(text, position)) position = text.indexOf('"', position + 1);
  return position + 1;
}

/** Whether an odd number of backslashes stands before it. */
function isEscaped(text: string, position: number): boolean {
  let first = position;
  while (text.charCodeAt(first - 1) === backslash) first -= 1;
  return (position - first) % 2 === 1;
}
