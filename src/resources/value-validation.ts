/**
 * Checks of single values that several kinds need: counts, ids, ports, choices, paths, addresses.
 * Each answers with the errors for its field, none when the value is fine.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { portNameProblems } from '#api/names.ts';

const int32Max = 2 ** 31 - 1;

export const protocols = ['SCTP', 'TCP', 'UDP'];

export function validateNotNegative(value: number | undefined, field: string): FieldError[] {
  if (value === undefined || value >= 0) return [];
  return [invalid(field, value, 'must be greater than or equal to 0')];
}

/** A user or group id. */
export function validateId(id: number | undefined, field: string): FieldError[] {
  if (id === undefined || (id >= 0 && id <= int32Max)) return [];
  return [invalid(field, id, `must be between 0 and ${int32Max}, inclusive`)];
}

/** A value that must be there and be one of a few. */
export function validateChoice(
  value: string | undefined,
  choices: readonly string[],
  field: string,
): FieldError[] {
  if (!value) return [required(field)];
  return choices.includes(value) ? [] : [notSupported(field, value, choices)];
}

export function validatePort(port: number, field: string): FieldError[] {
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return [];
  return [invalid(field, port, 'must be between 1 and 65535, inclusive')];
}

export function validatePortOrName(port: number | string | undefined, field: string): FieldError[] {
  if (typeof port !== 'string') return validatePort(port ?? 0, field);
  return portNameProblems(port).map((problem) => invalid(field, port, problem));
}

/** A path that stays inside: relative, and never upwards. */
export function validateLocalPath(path: string, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (path.startsWith('/')) errors.push(invalid(field, path, 'must be a relative path'));
  if (path.includes('..') && path.split('/').includes('..'))
    errors.push(invalid(field, path, "must not contain '..'"));
  return errors;
}
