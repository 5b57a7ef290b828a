/**
 * What is wrong with a field, in upstream's terms. `api/errors.ts` turns a list of these into the
 * 422 Status (`Deployment.apps "x" is invalid: spec.replicas: Invalid value: -1: must be …`).
 *
 * Validation collects these with the makers below (`required`, `invalid`, …); the texts are an
 * interface, since clients and people match on them.
 */
export type FieldErrorType =
  | 'FieldValueNotFound'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid'
  | 'InternalError';

export interface FieldError {
  readonly type: FieldErrorType;
  /** `spec.template.spec.containers[0].name`. */
  readonly field: string;
  /** Null stands for a list or map that is not there, which shows as it is written. */
  readonly badValue?: unknown;
  /** Values that would be allowed, for `FieldValueNotSupported`. */
  readonly supported?: readonly string[];
  readonly detail: string;
  /** The text says nothing of the value, where it would be long or is many values at once. */
  readonly omitValue?: true;
  /** What an object has already it may keep: forms that were once accepted. */
  readonly ratchets?: true;
}

const words: Readonly<Record<FieldErrorType, string>> = {
  FieldValueNotFound: 'Not found',
  FieldValueRequired: 'Required value',
  FieldValueDuplicate: 'Duplicate value',
  FieldValueInvalid: 'Invalid value',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTooLong: 'Too long',
  FieldValueTooMany: 'Too many',
  FieldValueTypeInvalid: 'Invalid value',
  InternalError: 'Internal error',
};

/** These say nothing about the value that was there. */
const silent: ReadonlySet<FieldErrorType> = new Set<FieldErrorType>([
  'FieldValueRequired',
  'FieldValueForbidden',
  'FieldValueTooLong',
  'InternalError',
]);

export function required(field: string, detail = ''): FieldError {
  return { type: 'FieldValueRequired', field, badValue: '', detail };
}

export function invalid(field: string, badValue: unknown, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, badValue, detail };
}

/** An error of a whole, whose value is not shown. */
export function invalidWhole(field: string, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, detail, omitValue: true };
}

export function duplicate(field: string, badValue: unknown): FieldError {
  return { type: 'FieldValueDuplicate', field, badValue, detail: '' };
}

export function forbidden(field: string, detail: string): FieldError {
  return { type: 'FieldValueForbidden', field, badValue: '', detail };
}

export function fieldNotFound(field: string, badValue: unknown): FieldError {
  return { type: 'FieldValueNotFound', field, badValue, detail: '' };
}

export function notSupported(
  field: string,
  badValue: unknown,
  supported: readonly string[],
): FieldError {
  const quoted = supported.map((value) => JSON.stringify(value)).join(', ');
  const detail = supported.length === 0 ? '' : `supported values: ${quoted}`;
  return { type: 'FieldValueNotSupported', field, badValue, supported, detail };
}

export function tooLong(field: string, bytesMax: number): FieldError {
  const detail = `may not be more than ${bytesMax} ${bytesMax === 1 ? 'byte' : 'bytes'}`;
  return { type: 'FieldValueTooLong', field, detail };
}

export function tooMany(field: string, actual: number, itemsMax: number): FieldError {
  const detail = `must have at most ${itemsMax} ${itemsMax === 1 ? 'item' : 'items'}`;
  return { type: 'FieldValueTooMany', field, badValue: actual, detail };
}

/** The error without its field: `Invalid value: -1: must be greater than or equal to 0`. */
export function formatFieldErrorBody(error: FieldError): string {
  let text = words[error.type];
  if (!silent.has(error.type) && error.omitValue !== true)
    text += `: ${formatValue(error.badValue)}`;
  return error.detail === '' ? text : `${text}: ${error.detail}`;
}

/** `spec.replicas: Invalid value: -1: must be greater than or equal to 0`. */
export function formatFieldError(error: FieldError): string {
  return `${error.field}: ${formatFieldErrorBody(error)}`;
}

/** One error as it is, several in brackets; the same text only once. */
export function formatFieldErrors(errors: readonly FieldError[]): string {
  const texts = [...new Set(errors.map(formatFieldError))];
  return texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(', ')}]`;
}

function formatValue(value: unknown): string {
  if (value === undefined) return 'null';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return quoteAsGo(value);
  return JSON.stringify(value);
}

const goEscapes: Readonly<Record<string, string>> = { '\u0007': '\\a', '\u000b': '\\v' };

/** Like JSON but for control characters (`"\x00"`) and halves of letters, which are replaced. */
function quoteAsGo(text: string): string {
  const quoted = JSON.stringify(text);
  // Nearly every text ends here.
  if (!/[\u007f-\u009f]|\\u/.test(quoted)) return quoted;
  const written = text.toWellFormed().replace(/["\\]/g, '\\$&');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  const shown = written.replace(/[\u0000-\u001f\u007f-\u009f]/g, (letter) => {
    const code = letter.charCodeAt(0);
    const hex = code.toString(16);
    if (code > 0x7f) return `\\u${hex.padStart(4, '0')}`;
    if (code === 0x7f) return '\\x7f';
    if (goEscapes[letter] !== undefined) return goEscapes[letter];
    const plain = JSON.stringify(letter).slice(1, -1);
    return plain.startsWith('\\u') ? `\\x${hex.padStart(2, '0')}` : plain;
  });
  return `"${shown}"`;
}
