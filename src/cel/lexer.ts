/**
 * Text of an expression → tokens, with the place of each as an offset in characters.
 *
 * The order of `tokenNames` is that of the grammar: sets of expected tokens are told in it. What
 * is no token becomes a problem and is left out, as the reference implementation does, so that the
 * parser can say more about the rest.
 *
 * Behaviour: github.com/google/cel-spec, "Syntax". Next: `parser.ts`.
 */
import type { Problem } from './source.ts';

export const tokenNames = [
  ...['==', '!=', 'in', '<', '<=', '>=', '>', '&&', '||', '[', ']', '{', '}', '(', ')', '.', ','],
  ...['-', '!', '?', ':', '+', '*', '/', '%', 'true', 'false', 'null'],
  ...['NUM_FLOAT', 'NUM_INT', 'NUM_UINT', 'STRING', 'BYTES', 'IDENTIFIER', 'ESC_IDENTIFIER'],
  '<EOF>',
] as const;

export type TokenName = (typeof tokenNames)[number];

export interface Token {
  readonly name: TokenName;
  readonly text: string;
  readonly at: number;
}

const escapeSource = String.raw`\\(?:[abfnrtv"'\\?\x60]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})`;
const quoted = [
  `[rR]"""[^]*?"""`,
  `[rR]'''[^]*?'''`,
  String.raw`[rR]"[^"\n\r]*"`,
  String.raw`[rR]'[^'\n\r]*'`,
  String.raw`"""(?:${escapeSource}|[^\\])*?"""`,
  String.raw`'''(?:${escapeSource}|[^\\])*?'''`,
  String.raw`"(?:${escapeSource}|[^\\"\n\r])*"`,
  String.raw`'(?:${escapeSource}|[^\\'\n\r])*'`,
].join('|');

const rules: readonly (readonly [TokenName | 'blank', RegExp])[] = [
  ['blank', /(?:[\t \r\n\f]|\/\/[^\n]*)+/y],
  ['BYTES', new RegExp(`[bB](?:${quoted})`, 'y')],
  ['STRING', new RegExp(quoted, 'y')],
  ['NUM_FLOAT', /(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)/y],
  ['NUM_UINT', /(?:0x[0-9a-fA-F]+|\d+)[uU]/y],
  ['NUM_INT', /0x[0-9a-fA-F]+|\d+/y],
  ['IDENTIFIER', /[A-Za-z_][A-Za-z0-9_]*/y],
  ['ESC_IDENTIFIER', /`[A-Za-z0-9_.\-/ ]+`/y],
];

const symbolRegExp = /==|!=|<=|>=|&&|\|\||[<>[\]{}().,\-!?:+*/%]/y;
const words: ReadonlySet<string> = new Set(['in', 'true', 'false', 'null']);
const symbols = new Map<string, TokenName>(tokenNames.map((name) => [name, name]));

export interface Tokens {
  readonly tokens: readonly Token[];
  readonly problems: readonly Problem[];
}

export function tokenize(text: string): Tokens {
  const tokens: Token[] = [];
  const problems: Problem[] = [];
  let index = 0;
  let at = 0;
  while (index < text.length) {
    const found = tokenAt(text, index);
    const length = found?.text.length ?? unknownLength(text, index);
    const part = text.slice(index, index + length);
    if (found === undefined) {
      problems.push({ at, text: `Syntax error: token recognition error at: '${shown(part)}'` });
    } else if (found.name !== 'blank') {
      tokens.push({ name: found.name, text: part, at });
    }
    index += length;
    at += [...part].length;
  }
  tokens.push({ name: '<EOF>', text: '<EOF>', at });
  return { tokens, problems };
}

function tokenAt(text: string, index: number) {
  for (const [name, rule] of rules) {
    rule.lastIndex = index;
    const [found] = rule.exec(text) ?? [];
    if (found === undefined) continue;
    return { name: words.has(found) ? (symbols.get(found) ?? name) : name, text: found };
  }
  symbolRegExp.lastIndex = index;
  const [symbol = ''] = symbolRegExp.exec(text) ?? [];
  const name = symbols.get(symbol);
  return name === undefined ? undefined : { name, text: symbol };
}

/** As much as could still have become a token: a text up to where it breaks off. */
function unknownLength(text: string, index: number): number {
  const start = new RegExp(
    `[bB]?(?:"(?:${escapeSource}|[^\\\\"\\n\\r])*|'(?:${escapeSource}|[^\\\\'\\n\\r])*)(?:\\\\.?)?`,
    'y',
  );
  start.lastIndex = index;
  const [opened] = start.exec(text) ?? [];
  if (opened !== undefined) {
    // Where the line ends inside the text, the end of the line is told with it.
    const next = text[index + opened.length];
    return opened.length + (next === '\n' || next === '\r' ? 1 : 0);
  }
  return (text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1;
}

function shown(text: string): string {
  return text.replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');
}

/** What a text or bytes token stands for; undefined where it cannot be read. */
export function unescapeText(token: string): string | undefined {
  const text = token.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
  const raw = /^[rR]/.test(text);
  const body = raw ? text.slice(1) : text;
  const width = /^("""|''')/.test(body) ? 3 : 1;
  const inner = body.slice(width, -width);
  if (raw) return inner;
  let fine = true;
  const result = inner.replace(new RegExp(escapeSource, 'g'), (one) => {
    const code = codePoint(one);
    if (code === undefined) fine = false;
    return code ?? '';
  });
  return fine ? result : undefined;
}

const simpleEscapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

function codePoint(escaped: string): string | undefined {
  const kind = escaped[1] ?? '';
  if (/[0-3]/.test(kind)) return String.fromCodePoint(Number.parseInt(escaped.slice(1), 8));
  if (!/[xXuU]/.test(kind)) return simpleEscapes[kind] ?? kind;
  const code = Number.parseInt(escaped.slice(2), 16);
  const surrogate = code >= 0xd800 && code < 0xe000;
  return code > 0x10ffff || surrogate ? undefined : String.fromCodePoint(code);
}

/** The bytes of a bytes token: escapes of one byte are that byte, all else is UTF-8. */
export function unescapeBytes(token: string): Uint8Array | undefined {
  const text = token.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
  const raw = /^[rR]/.test(text);
  const body = raw ? text.slice(1) : text;
  const width = /^("""|''')/.test(body) ? 3 : 1;
  const inner = body.slice(width, -width);
  if (raw) return new TextEncoder().encode(inner);
  const parts: number[] = [];
  for (const part of inner.split(new RegExp(`(${escapeSource})`))) {
    if (!part.startsWith('\\')) {
      parts.push(...new TextEncoder().encode(part));
      continue;
    }
    if (/^\\[uU]/.test(part)) return undefined;
    parts.push(codePoint(part)?.codePointAt(0) ?? 0);
  }
  return Uint8Array.from(parts);
}
