/**
 * Flags of one of upstream's programs, as texts, and read on demand with upstream's words where a
 * text is not what the flag wants. Who reads a flag makes it count: `unread` says which were given
 * and change nothing here.
 *
 * `controller-manager-flags.ts` is a table for it.
 */
import type { Command } from '#kit/command-line.ts';
import { parseDuration } from '#kit/duration.ts';
import { ConfigError } from './config-error.ts';

export type FlagSort = 'text' | 'list' | 'boolean' | 'integer' | 'float' | 'duration';

/** Name, without dashes → what its value is. */
export type FlagTable = Readonly<Record<string, FlagSort>>;

/** What the command line gives: by names in camel case. */
export type FlagTexts = Readonly<Record<string, string | true | undefined>>;

export function addFlags(
  command: Command,
  table: FlagTable,
  help: Readonly<Record<string, string>>,
) {
  for (const [flag, sort] of Object.entries(table)) {
    // As upstream's: a boolean flag alone means true.
    const value = sort === 'boolean' ? '[bool]' : `<${sort}>`;
    command.option(`--${flag} ${value}`, help[flag] ?? '');
  }
  return command;
}

export class FlagValues {
  readonly #table: FlagTable;
  readonly #texts: FlagTexts;
  readonly #read = new Set<string>();

  /** Throws where a text is not of its flag's sort, whether or not anybody reads it. */
  constructor(table: FlagTable, texts: FlagTexts) {
    this.#table = table;
    this.#texts = texts;
    for (const [flag, sort] of Object.entries(table)) {
      const given = this.#given(flag);
      if (given !== undefined) check(flag, sort, given);
    }
  }

  /** Flags that were given and nobody has read. */
  get unread(): readonly string[] {
    return Object.keys(this.#table).filter(
      (flag) => this.#given(flag) !== undefined && !this.#read.has(flag),
    );
  }

  /** Empty is as good as absent. */
  text(flag: string): string | undefined {
    const text = this.#take(flag);
    return text === '' ? undefined : text;
  }

  list(flag: string): readonly string[] | undefined {
    return this.#take(flag)
      ?.split(',')
      .filter((part) => part !== '');
  }

  boolean(flag: string): boolean | undefined {
    const text = this.#take(flag);
    return text === undefined ? undefined : booleans[text];
  }

  number(flag: string): number | undefined {
    const text = this.#take(flag);
    return text === undefined ? undefined : Number(text);
  }

  durationMs(flag: string): number | undefined {
    const text = this.#take(flag);
    return text === undefined ? undefined : parseDuration(text);
  }

  #take(flag: string): string | undefined {
    this.#read.add(flag);
    return this.#given(flag);
  }

  #given(flag: string): string | undefined {
    const value = this.#texts[camelCase(flag)];
    return value === true ? 'true' : value;
  }
}

const booleans: Readonly<Record<string, boolean>> = {
  ...{ '1': true, t: true, T: true, true: true, TRUE: true, True: true },
  ...{ '0': false, f: false, F: false, false: false, FALSE: false, False: false },
};

function check(flag: string, sort: FlagSort, text: string): void {
  const refuse = (why: string): never => {
    throw new ConfigError(`invalid argument "${text}" for "--${flag}" flag: ${why}`);
  };
  const syntax = (of: string): never => refuse(`strconv.${of}: parsing "${text}": invalid syntax`);
  switch (sort) {
    case 'boolean':
      if (booleans[text] === undefined) syntax('ParseBool');
      return;
    case 'integer':
      if (!/^[+-]?\d+$/.test(text)) syntax('ParseInt');
      return;
    case 'float':
      if (text.trim() === '' || !Number.isFinite(Number(text))) syntax('ParseFloat');
      return;
    case 'duration':
      if (parseDuration(text) === undefined) refuse(`time: invalid duration "${text}"`);
      return;
    case 'text':
    case 'list':
      return;
    default:
      sort satisfies never;
  }
}

function camelCase(flag: string): string {
  return flag.replaceAll(/-(\w)/g, (_all, letter: string) => letter.toUpperCase());
}

/** Of a flag that alone means true, and false where it is not there. */
export function isOn(flag: string, text: string | true | undefined): boolean {
  if (text === true || text === 'true') return true;
  if (text === undefined || text === 'false') return false;
  throw new ConfigError(`${flag} ${text}: must be true or false`);
}
