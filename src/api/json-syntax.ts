/**
 * What is wrong with a text that is no JSON, in the words of Go's decoder (`invalid character 'x'
 * looking for beginning of value`): clients of other servers know these.
 *
 * Walks the text as that decoder does, one letter at a time. Only called once `JSON.parse` has
 * refused the text, so speed is no matter. `json-text.ts` is the caller.
 */
type Expect = 'value' | 'valueOrEnd' | 'key' | 'keyOrEnd' | 'colon' | 'next' | 'end';

class Refusal extends Error {}

const truncated = 'unexpected end of JSON input';
const literals: Readonly<Record<string, string>> = { t: 'true', f: 'false', n: 'null' };

export function jsonProblem(text: string): string {
  try {
    new Walk(text).all();
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
  return truncated;
}

class Walk {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  all(): void {
    const stack: ('object' | 'list')[] = [];
    let expect: Expect = 'value';
    for (;;) {
      this.#skipSpace();
      const letter = this.#text[this.#at];
      if (letter === undefined) {
        if (expect === 'end') return;
        throw new Refusal(truncated);
      }
      expect = this.#step(letter, expect, stack);
    }
  }

  #step(letter: string, expect: Expect, stack: ('object' | 'list')[]): Expect {
    const inside = stack.at(-1);
    switch (expect) {
      case 'value':
      case 'valueOrEnd':
        if (letter === ']' && expect === 'valueOrEnd') return this.#close(stack);
        return this.#value(letter, stack);
      case 'key':
      case 'keyOrEnd':
        if (letter === '}' && expect === 'keyOrEnd') return this.#close(stack);
        if (letter !== '"') throw invalid(letter, 'looking for beginning of object key string');
        this.#string();
        return 'colon';
      case 'colon':
        if (letter !== ':') throw invalid(letter, 'after object key');
        this.#at += 1;
        return 'value';
      case 'next':
        if (letter === ',') {
          this.#at += 1;
          return inside === 'object' ? 'key' : 'value';
        }
        if (letter === (inside === 'object' ? '}' : ']')) return this.#close(stack);
        throw invalid(
          letter,
          inside === 'object' ? 'after object key:value pair' : 'after array element',
        );
      case 'end':
        throw invalid(letter, 'after top-level value');
      default:
        return expect satisfies never;
    }
  }

  #close(stack: ('object' | 'list')[]): Expect {
    this.#at += 1;
    stack.pop();
    return after(stack);
  }

  #value(letter: string, stack: ('object' | 'list')[]): Expect {
    if (letter === '{' || letter === '[') {
      this.#at += 1;
      stack.push(letter === '{' ? 'object' : 'list');
      return letter === '{' ? 'keyOrEnd' : 'valueOrEnd';
    }
    if (letter === '"') this.#string();
    else if (letter === '-' || /\d/.test(letter)) this.#number();
    else if (literals[letter] !== undefined) this.#literal(literals[letter]);
    else throw invalid(letter, 'looking for beginning of value');
    return after(stack);
  }

  #string(): void {
    for (this.#at += 1; ; this.#at += 1) {
      const letter = this.#take();
      if (letter === '"') break;
      if (letter < ' ') throw invalid(letter, 'in string literal');
      if (letter !== '\\') continue;
      this.#at += 1;
      const escaped = this.#take();
      if (!'bfnrt\\/"u'.includes(escaped)) throw invalid(escaped, 'in string escape code');
      if (escaped !== 'u') continue;
      for (let count = 0; count < 4; count++) {
        this.#at += 1;
        const digit = this.#take();
        if (!/[0-9a-fA-F]/.test(digit)) throw invalid(digit, 'in \\u hexadecimal character escape');
      }
    }
    this.#at += 1;
  }

  #number(): void {
    if (this.#text[this.#at] === '-') {
      this.#at += 1;
      this.#digit('in numeric literal');
    }
    if (this.#text[this.#at] === '0') this.#at += 1;
    else this.#skipDigits();
    if (this.#text[this.#at] === '.') {
      this.#at += 1;
      this.#digit('after decimal point in numeric literal');
      this.#skipDigits();
    }
    if (!/[eE]/.test(this.#text[this.#at] ?? '')) return;
    this.#at += 1;
    if (/[+-]/.test(this.#text[this.#at] ?? '')) this.#at += 1;
    this.#digit('in exponent of numeric literal');
    this.#skipDigits();
  }

  #digit(where: string): void {
    const letter = this.#take();
    if (!/\d/.test(letter)) throw invalid(letter, where);
  }

  #skipDigits(): void {
    while (/\d/.test(this.#text[this.#at] ?? '')) this.#at += 1;
  }

  #literal(word: string): void {
    for (const wanted of word) {
      const letter = this.#take();
      if (letter !== wanted) throw invalid(letter, `in literal ${word} (expecting '${wanted}')`);
      this.#at += 1;
    }
  }

  #skipSpace(): void {
    while (/[ \t\r\n]/.test(this.#text[this.#at] ?? '')) this.#at += 1;
  }

  #take(): string {
    const letter = this.#text[this.#at];
    if (letter === undefined) throw new Refusal(truncated);
    return letter;
  }
}

function after(stack: readonly unknown[]): Expect {
  return stack.length === 0 ? 'end' : 'next';
}

function invalid(letter: string, where: string): Refusal {
  const escapes: Readonly<Record<string, string>> = {
    "'": "\\'",
    '\\': '\\\\',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
  };
  const code = letter.charCodeAt(0);
  const hex = `\\x${code.toString(16).padStart(2, '0')}`;
  const wide = `\\u${code.toString(16).padStart(4, '0')}`;
  const strange = code >= 0x7f && code < 0xa0;
  const shown = escapes[letter] ?? (code < 0x20 ? hex : strange ? wide : letter);
  return new Refusal(`invalid character '${shown}' ${where}`);
}
