/**
 * YAML text ↔ plain values; the only file that imports the `yaml` package.
 *
 * Plain words mean what they mean to programs in Go, which is what manifests and settings of
 * Kubernetes are written for: `yes` and `off` are booleans, `0644` is octal, a date is text. What
 * such a library says of a bad text is said in its words as far as they are known.
 *
 * The package is loaded when the first YAML comes along, synchronously, since settings are read in
 * the middle of things: that takes some 25 ms and 8 MB, which programs that never meet any do not
 * pay.
 */
import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import { messageOf } from './error-message.ts';

const require = createRequire(import.meta.url);

/** Aliases are bounded, so that no text can blow up. */
const aliasesMax = 100;

/** The value of a text with one document. Throws `YamlError` with the parser's words. */
export function parseYaml(text: string): unknown {
  const [document, second] = documentsOf(text, { uniqueKeys: true });
  if (second !== undefined) throw new YamlError('more than one document', text);
  return contentsOf(document, text);
}

export interface FirstDocument {
  readonly value: unknown;
  /** Keys that a map has twice, each with its line; the last one counts. */
  readonly repeated: readonly string[];
}

/** As a server reads a body: the first document counts, and repeated keys are only told of. */
export function parseFirstYaml(text: string): FirstDocument {
  const [document] = documentsOf(text, { uniqueKeys: false });
  const value = contentsOf(document, text);
  return { value, repeated: document === undefined ? [] : repeatedKeys(document, text) };
}

function documentsOf(
  text: string,
  { uniqueKeys }: { readonly uniqueKeys: boolean },
): readonly Yaml.Document.Parsed[] {
  const customTags = goTags;
  const options = { uniqueKeys, customTags, schema: 'failsafe', merge: true } as const;
  const documents = yaml().parseAllDocuments(text, { ...options, logLevel: 'error' });
  return 'empty' in documents ? [] : documents;
}

function contentsOf(document: Yaml.Document.Parsed | undefined, text: string): unknown {
  if (document === undefined) return null;
  const [error] = document.errors;
  if (error !== undefined) throw new YamlError(error.message, text, { cause: error });
  try {
    return document.toJS({ maxAliasCount: aliasesMax });
  } catch (error) {
    const message = messageOf(error);
    throw new YamlError(message, text, { cause: error });
  }
}

const truths = /^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const booleans =
  /^(?:[yYnN]|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/;
const integer = /^[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[1-9][0-9_]*|0)$/;
const float =
  /^(?:[-+]?[0-9][0-9_]*\.?[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?)$/;
const unbounded = /^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/;

/** Plain words that are no text, the first that fits. */
const goTags: Yaml.ScalarTag[] = [
  {
    tag: 'tag:yaml.org,2002:null',
    default: true,
    test: /^(?:~|null|Null|NULL)?$/,
    identify: (value) => value === null,
    resolve: () => null,
    stringify: () => 'null',
  },
  {
    tag: 'tag:yaml.org,2002:bool',
    default: true,
    test: booleans,
    identify: (value) => typeof value === 'boolean',
    resolve: (text) => truths.test(text),
  },
  {
    tag: 'tag:yaml.org,2002:int',
    default: true,
    test: integer,
    identify: (value) => Number.isInteger(value),
    resolve: parseInteger,
  },
  {
    tag: 'tag:yaml.org,2002:float',
    default: true,
    test: float,
    identify: (value) => typeof value === 'number',
    resolve: (text) => Number(text.replaceAll('_', '')),
  },
  {
    tag: 'tag:yaml.org,2002:float',
    default: true,
    test: unbounded,
    identify: (value) => typeof value === 'number',
    resolve: (text) => (text.startsWith('-') ? -Infinity : /nan/i.test(text) ? NaN : Infinity),
  },
];

/** `0644` and `0o644` are 420, `0x1f` is 31, `1_000` is 1000. */
function parseInteger(text: string): number {
  const [, sign = '', digits = ''] = /^([-+]?)(.*)$/.exec(text.replaceAll('_', '')) ?? [];
  const octal = /^0[oO]?([0-7]+)$/.exec(digits)?.[1];
  const size = octal === undefined ? Number(digits) : Number.parseInt(octal, 8);
  return sign === '-' ? -size : size;
}

function repeatedKeys(document: Yaml.Document.Parsed, text: string): readonly string[] {
  const found: { readonly at: number; readonly key: string }[] = [];
  yaml().visit(document, {
    Map: (_key, map) => {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!yaml().isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) found.push({ at: key.range?.[0] ?? 0, key: name });
        seen.add(name);
      }
    },
  });
  found.sort((a, b) => a.at - b.at);
  let [line, from] = [1, 0];
  return found.map(({ at, key }) => {
    line += text.slice(from, at).split('\n').length - 1;
    from = at;
    return `line ${line}: key ${JSON.stringify(key)} already set in map`;
  });
}

/** As programs in Go write it: keys in order, lists not indented, dates and `yes` in quotes. */
export function formatSortedYaml(value: unknown): string {
  return yaml().stringify(value, {
    ...{ version: '1.1', lineWidth: 0, aliasDuplicateObjects: false },
    ...{ sortMapEntries: true, indentSeq: false },
  } as const);
}

/** A document that is edited in place: comments and order of what is not touched stay. */
export interface EditableYaml {
  get(key: string): unknown;
  set(key: string, value: unknown): void;
  toJS(): unknown;
  toString(): string;
}

export function openYaml(text: string): EditableYaml {
  const document = yaml().parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw new YamlError(error.message, text, { cause: error });
  return document;
}

export class YamlError extends Error {
  override readonly name = 'YamlError';
  readonly #text: string;

  constructor(message: string, text: string, options?: ErrorOptions) {
    super(message, options);
    this.#text = text;
  }

  /** The same in the words of the library that Go programs use, where they are known. */
  get goMessage(): string {
    const { cause } = this;
    if (!(cause instanceof yaml().YAMLParseError)) return this.message;
    const line = cause.linePos?.[0].line ?? 1;
    if (cause.code === 'TAB_AS_INDENT') {
      return `${line > 1 ? `line ${line}: ` : ''}found character that cannot start any token`;
    }
    const [, bracket] = /must .*end with a ([}\]])/.exec(cause.message) ?? [];
    if (bracket === undefined) return this.message;
    const isOpen = /[[{,]\s*$/.test(this.#text);
    return `line ${line}: did not find expected ${isOpen ? 'node content' : `',' or '${bracket}'`}`;
  }
}

function yaml(): typeof Yaml {
  // The package's own declarations describe what is loaded here.
  return require('yaml') as typeof Yaml;
}
