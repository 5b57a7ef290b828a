/**
 * Conditions in the common form of meta/v1: a type once, a status, since when, a reason that
 * programs read. Kinds whose conditions have that form call this for their status.
 */
import {
  duplicate,
  type FieldError,
  invalid,
  notSupported,
  required,
  tooLong,
} from '#api/field-error.ts';
import { byteLength, patternText, qualifiedNameProblems } from '#api/names.ts';
import type { Condition } from './types/meta-v1.ts';

const statuses = ['False', 'True', 'Unknown'];
const reasonPattern = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?';
const reasonRegExp = new RegExp(`^${reasonPattern}$`);
const reasonBytesMax = 1024;
const messageBytesMax = 32 * 1024;

export function validateConditions(conditions: readonly Condition[], field: string): FieldError[] {
  const types = new Set<string>();
  return conditions.flatMap((condition, index) => {
    const at = `${field}[${index}]`;
    const { type = '' } = condition;
    const errors = types.has(type) ? [duplicate(`${at}.type`, type)] : [];
    types.add(type);
    return [...errors, ...validateCondition(condition, at)];
  });
}

function validateCondition(condition: Condition, field: string): FieldError[] {
  const { type = '', status = '', observedGeneration = 0, reason, message = '' } = condition;
  const errors = qualifiedNameProblems(type).map((text) => invalid(`${field}.type`, type, text));
  if (!statuses.includes(status)) errors.push(notSupported(`${field}.status`, status, statuses));
  if (observedGeneration < 0) {
    const detail = 'must be greater than or equal to zero';
    errors.push(invalid(`${field}.observedGeneration`, observedGeneration, detail));
  }
  if (!condition.lastTransitionTime) errors.push(required(`${field}.lastTransitionTime`));
  errors.push(...validateReason(reason, `${field}.reason`));
  if (byteLength(message) > messageBytesMax) {
    errors.push(tooLong(`${field}.message`, messageBytesMax));
  }
  return errors;
}

function validateReason(reason: string | undefined, field: string): FieldError[] {
  if (!reason) return [required(field)];
  const errors: FieldError[] = [];
  if (!reasonRegExp.test(reason)) {
    const detail = patternText(
      "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
      reasonPattern,
      ['my_name', 'MY_NAME', 'MyName', 'ReasonA,ReasonB', 'ReasonA:ReasonB'],
    );
    errors.push(invalid(field, reason, detail));
  }
  if (byteLength(reason) > reasonBytesMax) errors.push(tooLong(field, reasonBytesMax));
  return errors;
}
