/**
 * YAML text ↔ plain values; the only file that imports the `yaml` package.
 *
 * It is loaded when the first YAML comes along, synchronously, since settings are read in the
 * middle of things: that takes some 25 ms and 8 MB, which programs that never meet any do not pay.
 */
import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';

const require = createRequire(import.meta.url);

/** YAML 1.1 words such as `yes` are strings; aliases are bounded, so that no text can blow up. */
const aliasesMax = 100;

/** The value of a text with one document. Throws `YamlError` with the parser's words. */
export function parseYaml(text: string): unknown {
  try {
    return yaml().parse(text, { maxAliasCount: aliasesMax, logLevel: 'error' });
  } catch (error) {
    throw new YamlError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

export function formatYaml(value: unknown): string {
  return yaml().stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
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
  if (error !== undefined) throw new YamlError(error.message, { cause: error });
  return document;
}

export class YamlError extends Error {
  override readonly name = 'YamlError';

  /** The same in the words of the library that Go programs use, where they are known. */
  get goMessage(): string {
    const { cause } = this;
    if (!(cause instanceof yaml().YAMLParseError)) return this.message;
    const line = cause.linePos?.[0].line ?? 1;
    const [, bracket] = /must .*end with a ([}\]])/.exec(cause.message) ?? [];
    if (bracket === undefined) return this.message;
    return `line ${line}: did not find expected ',' or '${bracket}'`;
  }
}

function yaml(): typeof Yaml {
  // The package's own declarations describe what is loaded here.
  return require('yaml') as typeof Yaml;
}
