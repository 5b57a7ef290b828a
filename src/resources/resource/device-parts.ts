/**
 * What claims, classes and slices have in common: settings for a driver, names of attributes and
 * of pools, taints and what tolerates them. Each check answers with the errors for its field.
 */
import {
  duplicate,
  type FieldError,
  invalid,
  notSupported,
  required,
  tooLong,
  tooMany,
} from '#api/field-error.ts';
import {
  byteLength,
  labelValueProblems,
  patternText,
  qualifiedNameProblems,
  subdomainProblems,
} from '#api/names.ts';
import { validateDriverName } from '../storage/driver-name.ts';
import type {
  DeviceClassConfiguration,
  DeviceTaint,
  DeviceToleration,
} from '../types/resource-v1.ts';

const parametersBytesMax = 10 * 1024;
const poolBytesMax = 253;
const attributeBytesMax = 32;
const effects = ['NoExecute', 'NoSchedule', 'None'];
const operators = ['Equal', 'Exists'];
const conditionsMax = 4;

/** Every item is judged, then whether one stands twice; a list too long only for its length. */
export function validateSet<T>(
  list: readonly T[],
  field: string,
  {
    itemsMax = Number.POSITIVE_INFINITY,
    judge,
    key,
  }: {
    readonly itemsMax?: number;
    readonly judge: (item: T, field: string) => readonly FieldError[];
    readonly key: (item: T) => unknown;
  },
): FieldError[] {
  if (list.length > itemsMax) return [tooMany(field, list.length, itemsMax)];
  const errors = list.flatMap((item, index) => judge(item, `${field}[${index}]`));
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    const value = key(item);
    const text = JSON.stringify(value);
    if (seen.has(text)) errors.push(duplicate(`${field}[${index}]`, value));
    seen.add(text);
  }
  return errors;
}

export function validateConfiguration(
  { opaque }: DeviceClassConfiguration,
  field: string,
): FieldError[] {
  if (opaque === undefined) return [required(`${field}.opaque`)];
  return [
    ...validateDriverName(opaque.driver ?? '', `${field}.opaque.driver`),
    ...validateParameters(opaque.parameters, `${field}.opaque.parameters`),
  ];
}

/** Any object, up to some size. */
export function validateParameters(parameters: unknown, field: string): FieldError[] {
  if (parameters === undefined || parameters === null) return [required(field)];
  if (byteLength(JSON.stringify(parameters)) > parametersBytesMax) {
    return [tooLong(field, parametersBytesMax)];
  }
  if (typeof parameters === 'object' && !Array.isArray(parameters)) return [];
  return [invalid(field, '<value omitted>', 'must be a valid JSON object')];
}

export function validatePoolName(name: string, field: string): FieldError[] {
  if (name === '') return [required(field)];
  const errors = byteLength(name) > poolBytesMax ? [tooLong(field, poolBytesMax)] : [];
  for (const part of name.split('/')) {
    errors.push(...subdomainProblems(part).map((problem) => invalid(field, part, problem)));
  }
  return errors;
}

/** `model`, or with the domain of whom the name belongs to, `gpu.example.com/model`. */
export function validateAttributeName(name: string, field: string): FieldError[] {
  const [first = '', second, more] = name.split('/');
  if (more !== undefined) return [];
  if (second === undefined) return validateIdentifier(first, field);
  return [
    ...(first === ''
      ? [invalid(field, '', 'the domain must not be empty')]
      : validateDriverName(first, field)),
    ...(second === ''
      ? [invalid(field, '', 'the name must not be empty')]
      : validateIdentifier(second, field)),
  ];
}

export function validateFullAttributeName(name: string, field: string): FieldError[] {
  const errors = validateAttributeName(name, field);
  if (name.includes('/')) return errors;
  const detail = 'a fully qualified name must be a domain and a name separated by a slash';
  return [...errors, invalid(field, name, detail)];
}

function validateIdentifier(name: string, field: string): FieldError[] {
  const errors = byteLength(name) > attributeBytesMax ? [tooLong(field, attributeBytesMax)] : [];
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return errors;
  const detail = patternText(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
    '[A-Za-z_][A-Za-z0-9_]*',
    ['my_name', 'MY_NAME', 'MyName'],
  );
  return [...errors, invalid(field, name, detail)];
}

export function validateTaint(taint: DeviceTaint, field: string): FieldError[] {
  const { key = '', value = '', effect } = taint;
  const errors = [
    ...validateLabelKey(key, `${field}.key`),
    ...validateLabelValue(value, `${field}.value`),
  ];
  if (!effect) return [...errors, required(`${field}.effect`)];
  return [...errors, ...validateEffect(effect, `${field}.effect`)];
}

export function validateToleration(toleration: DeviceToleration, field: string): FieldError[] {
  const { key, value = '', operator, effect } = toleration;
  const errors = key ? validateLabelKey(key, `${field}.key`) : [];
  if (operator === 'Exists') {
    const detail = 'must be empty for operator `Exists`';
    if (value !== '') errors.push(invalid(`${field}.value`, value, detail));
  } else if (operator === 'Equal') {
    errors.push(...validateLabelValue(value, `${field}.value`));
  } else if (!operator) {
    errors.push(required(`${field}.operator`));
  } else {
    errors.push(notSupported(`${field}.operator`, operator, operators));
  }
  return effect ? [...errors, ...validateEffect(effect, `${field}.effect`)] : errors;
}

function validateEffect(effect: string, field: string): FieldError[] {
  return effects.includes(effect) ? [] : [notSupported(field, effect, effects)];
}

function validateLabelKey(key: string, field: string): FieldError[] {
  return qualifiedNameProblems(key).map((problem) => invalid(field, key, problem));
}

function validateLabelValue(value: string, field: string): FieldError[] {
  return labelValueProblems(value).map((problem) => invalid(field, value, problem));
}

interface Binding {
  readonly bindingConditions?: readonly string[] | undefined;
  readonly bindingFailureConditions?: readonly string[] | undefined;
}

/** Conditions that a driver reports before a pod with the device is bound: both sorts, or none. */
export function validateBinding(binding: Binding, field: string): FieldError[] {
  const { bindingConditions: good = [], bindingFailureConditions: bad = [] } = binding;
  const goodAt = `${field}.bindingConditions`;
  const badAt = `${field}.bindingFailureConditions`;
  const rules = { itemsMax: conditionsMax, judge: validateLabelKey, key: (name: string) => name };
  const errors = [...validateSet(good, goodAt, rules), ...validateSet(bad, badAt, rules)];
  for (const [index, condition] of bad.entries()) {
    if (!good.includes(condition)) continue;
    const detail = 'bindingFailureConditions must not overlap with bindingConditions';
    errors.push(invalid(`${badAt}[${index}]`, condition, detail));
  }
  if (good.length === 0 && bad.length > 0) {
    const detail = 'bindingConditions are required to use bindingFailureConditions';
    errors.push(invalid(goodAt, null, detail));
  }
  if (bad.length === 0 && good.length > 0) {
    const detail = 'bindingFailureConditions are required to use bindingConditions';
    errors.push(invalid(badAt, null, detail));
  }
  return errors;
}
