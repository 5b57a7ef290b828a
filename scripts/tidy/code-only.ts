/**
 * The code of a file without its prose: comments, strings and regular expressions become blanks of
 * the same length, so that lines and columns stay true and a rule that looks for `Math.random`
 * does not find it in a sentence.
 *
 * A small scanner, not a parser: a slash begins a regular expression where an operand may begin.
 */
const beforeOperand = /[=(,:;!&|?{}[+\-*%<>~^]$|\b(?:return|case|typeof|in|of|do|else)$|^$/;

export function codeOnly(text: string): string {
  let out = '';
  let at = 0;
  const blank = (end: number): void => {
    out += text.slice(at, end).replaceAll(/[^\n]/g, ' ');
    at = end;
  };
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    const one = text[at] ?? '';
    if (two === '//') blank(endOf(text, '\n', at));
    else if (two === '/*') blank(endOf(text, '*/', at + 2) + 2);
    else if (one === "'" || one === '"' || one === '`') blank(endOfQuoted(text, at, one));
    else if (one === '/' && beforeOperand.test(lastCode(out))) blank(endOfPattern(text, at));
    else {
      out += one;
      at += 1;
    }
  }
  return out;
}

function endOf(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from);
  return end === -1 ? text.length : end;
}

/** Template parts `${…}` are blanked with the rest: what they hold is checked nowhere. */
function endOfQuoted(text: string, start: number, quote: string): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at += 1;
    else if (quote === '`' && text.startsWith('${', at)) at = endOfBraces(text, at + 1);
    else if (text[at] === quote || (quote !== '`' && text[at] === '\n')) return at + 1;
  }
  return text.length;
}

/** The index of the brace that closes the one at `start`, looking past strings inside. */
function endOfBraces(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const one = text[at] ?? '';
    if (one === "'" || one === '"' || one === '`') at = endOfQuoted(text, at, one) - 1;
    else if (one === '{') depth += 1;
    else if (one === '}') depth -= 1;
    if (depth === 0) return at;
  }
  return text.length;
}

function endOfPattern(text: string, start: number): number {
  let inClass = false;
  for (let at = start + 1; at < text.length && text[at] !== '\n'; at++) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '[') inClass = true;
    else if (text[at] === ']') inClass = false;
    else if (text[at] === '/' && !inClass) return at + 1;
  }
  return start + 1;
}

function lastCode(out: string): string {
  return out.slice(-40).trimEnd();
}
