/**
 * Validation of values that are a count or a percentage: bounds of rolling updates and of
 * disruption budgets. Texts and order of the checks are upstream's.
 */
import { type FieldError, invalid } from '#api/field-error.ts';
import { type IntOrString, parsePercent } from '#api/int-or-string.ts';
import { patternText } from '#api/names.ts';
import { validateNotNegative } from './value-validation.ts';

/** Not negative as a count, well formed as a percentage. */
export function validateCountOrPercent(value: IntOrString, field: string): FieldError[] {
  if (typeof value === 'number') return validateNotNegative(value, field);
  if (/^[0-9]+%$/.test(value)) return [];
  const text = patternText(
    "a valid percent string must be a numeric string followed by an ending '%'",
    '[0-9]+%',
    ['1%', '93%'],
  );
  return [invalid(field, value, text)];
}

export function validateAtMostAll(value: IntOrString, field: string): FieldError[] {
  if ((parsePercent(value) ?? 0) <= 100) return [];
  return [invalid(field, value, 'must not be greater than 100%')];
}

/** The number in it, whether it counts or is a percentage. */
export function amountOf(value: IntOrString): number {
  return typeof value === 'number' ? value : (parsePercent(value) ?? 0);
}
