/**
 * What a write may be asked for in its query: `dryRun`, `fieldManager`, `fieldValidation`, `force`.
 *
 * Wrong values are refused like wrong fields of an object of kind CreateOptions, UpdateOptions or
 * PatchOptions, before anything else is looked at. Called first by create, update and patch.
 */
import { invalid } from '#api/errors.ts';
import {
  type FieldError,
  forbidden,
  invalid as invalidField,
  notSupported,
  required,
  tooLong,
} from '#api/field-error.ts';

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export const managerLengthMax = 128;
const validations = ['', 'Ignore', 'Strict', 'Warn'];

export type OptionsKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions' | 'DeleteOptions';

export function checkOptions(
  kind: OptionsKind,
  query: URLSearchParams,
  { isApply = false }: { readonly isApply?: boolean } = {},
): void {
  const errors: FieldError[] = [];
  const manager = query.get('fieldManager') ?? '';
  if (isApply && manager === '') {
    errors.push(required('fieldManager', 'is required for apply patch'));
  }
  if (kind === 'PatchOptions' && !isApply && query.has('force')) {
    errors.push(forbidden('force', 'may not be specified for non-apply patch'));
  }
  errors.push(...checkManager(manager), ...checkDryRun(query.getAll('dryRun')));
  const validation = query.get('fieldValidation') ?? '';
  if (!validations.includes(validation)) {
    errors.push(notSupported('fieldValidation', validation, validations));
  }
  throwInvalidOptions(kind, errors);
}

export function throwInvalidOptions(kind: OptionsKind, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind }, '', errors);
}

function checkManager(manager: string): FieldError[] {
  const errors: FieldError[] = [];
  if (Buffer.byteLength(manager) > managerLengthMax) {
    errors.push(tooLong('fieldManager', managerLengthMax));
  }
  let position = 0;
  for (const letter of manager) {
    if (/\p{C}|\p{Zl}|\p{Zp}/u.test(letter)) {
      const code = letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
      const detail = `invalid character U+${code} (at position ${position})`;
      errors.push(invalidField('fieldManager', manager, detail));
    }
    position += Buffer.byteLength(letter);
  }
  return errors;
}

export function checkDryRun(values: readonly string[]): FieldError[] {
  if (values.every((value) => value === 'All')) return [];
  return [notSupported('dryRun', values, ['All'])];
}

export function isDryRun(values: readonly string[]): boolean {
  return values.includes('All');
}

export function fieldValidationOf(query: URLSearchParams): FieldValidation {
  const value = query.get('fieldValidation');
  return value === 'Strict' || value === 'Ignore' ? value : 'Warn';
}
