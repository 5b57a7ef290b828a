/**
 * One device of a slice: its attributes and capacities, its taints, the counters that it takes
 * from, and where it is when the slice leaves that to its devices.
 */
import {
  type FieldError,
  fieldNotFound,
  forbidden,
  invalid,
  required,
  tooLong,
  tooMany,
} from '#api/field-error.ts';
import { byteLength, subdomainProblems } from '#api/names.ts';
import { addQuantities, compareQuantities, quantityValue } from '#api/quantity.ts';
import { validateStrictNodeSelector } from '../node-selector-validation.ts';
import type {
  CapacityRequestPolicy,
  CapacityRequestPolicyRange,
  Counter,
  Device,
  DeviceAttribute,
  DeviceCapacity,
} from '../types/resource-v1.ts';
import {
  validateAttributeName,
  validateBinding,
  validateSet,
  validateTaint,
} from './device-parts.ts';
import { validateLabel } from './device-request.ts';

const namesMax = 32;
const valuesMax = 48;
const taintsMax = 16;
const consumptionsMax = 2;
const countersMax = 32;
const optionsMax = 10;
const valueBytesMax = 64;

export function validateDevice(
  device: Device,
  field: string,
  { placed }: { readonly placed: boolean },
): FieldError[] {
  const { name = '', taints = [], consumesCounters = [] } = device;
  const errors = [
    ...validateLabel(name, `${field}.name`),
    ...validateAttributes(device, field),
    ...validateCapacities(device, `${field}.capacity`),
  ];
  if (taints.length > taintsMax) {
    errors.push(tooMany(`${field}.taints`, taints.length, taintsMax));
  } else {
    errors.push(...taints.flatMap((one, at) => validateTaint(one, `${field}.taints[${at}]`)));
  }
  const consumed = validateSet(consumesCounters, `${field}.consumesCounters`, {
    itemsMax: consumptionsMax,
    judge: ({ counterSet, counters }, at) => [
      ...validateCounterName(counterSet, `${at}.counterSet`),
      ...validateCounters(counters, `${at}.counters`),
    ],
    key: ({ counterSet }) => counterSet,
  });
  return [
    ...errors,
    ...consumed,
    ...(placed ? validatePlace(device, field) : validateNoPlace(device, field)),
    ...validateBinding(device, field),
    ...validateMappings(device, `${field}.nodeAllocatableResourceMappings`),
  ];
}

export function validateCounterName(name: string | undefined, field: string): FieldError[] {
  return name ? validateLabel(name, field) : [required(field)];
}

export function validateCounters(
  counters: Readonly<Record<string, Counter>> | undefined,
  field: string,
): FieldError[] {
  const names = Object.keys(counters ?? {});
  if (names.length === 0) return [required(field)];
  if (names.length > countersMax) return [tooMany(field, names.length, countersMax)];
  return names.flatMap((name) => validateLabel(name, field));
}

function validateAttributes(device: Device, field: string): FieldError[] {
  const attributes = device.attributes ?? {};
  const names = Object.keys(attributes).length + Object.keys(device.capacity ?? {}).length;
  const errors: FieldError[] = [];
  if (names > namesMax) {
    const detail = `the total number of attributes and capacities must not exceed ${namesMax}`;
    errors.push(invalid(field, names, detail));
  }
  const values = Object.values(attributes).reduce((sum, one) => sum + countValues(one), 0);
  if (values > valuesMax) {
    const detail = `the total number of attribute values must not exceed ${valuesMax}`;
    errors.push(invalid(field, values, detail));
  }
  for (const [name, attribute] of Object.entries(attributes)) {
    errors.push(...validateAttributeName(name, `${field}.attributes`));
    errors.push(...validateAttribute(attribute, `${field}.attributes[${name}]`));
  }
  return errors;
}

function countValues({ bools, ints, strings, versions }: DeviceAttribute): number {
  const lists = [bools, ints, strings, versions];
  const count = lists.reduce((sum, list) => sum + (list ?? []).length, 0);
  return Math.max(1, count);
}

const listKeys = ['bools', 'ints', 'strings', 'versions'] as const;

function validateAttribute(attribute: DeviceAttribute | null, field: string): FieldError[] {
  const { string, version, strings = [], versions = [] } = attribute ?? {};
  const errors: FieldError[] = [];
  if (string !== undefined) errors.push(...validateText(string, `${field}.string`));
  if (version !== undefined) errors.push(...validateVersion(version, `${field}.version`));
  for (const key of listKeys) {
    if (attribute?.[key]?.length !== 0) continue;
    errors.push(invalid(`${field}.${key}`, [], 'must not be empty if specified'));
  }
  errors.push(...strings.flatMap((text, at) => validateText(text, `${field}.strings[${at}]`)));
  errors.push(...versions.flatMap((text, at) => validateVersion(text, `${field}.versions[${at}]`)));
  const said = Object.values(attribute ?? {}).filter((value) => value !== undefined).length;
  if (said === 1) return errors;
  const shown = said === 0 ? '' : attribute;
  return [...errors, invalid(field, shown, 'exactly one value must be specified')];
}

function validateText(text: string, field: string): FieldError[] {
  return byteLength(text) > valueBytesMax ? [tooLong(field, valueBytesMax)] : [];
}

const numeric = '(0|[1-9]\\d*)';
const preRelease = '(0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)';
const build = '[0-9a-zA-Z-]+';
const versionRegExp = new RegExp(
  `^${numeric}\\.${numeric}\\.${numeric}` +
    `(-${preRelease}(\\.${preRelease})*)?(\\+${build}(\\.${build})*)?$`,
);

function validateVersion(version: string, field: string): FieldError[] {
  const errors = validateText(version, field);
  if (versionRegExp.test(version)) return errors;
  const detail = 'must be a string compatible with semver.org spec 2.0.0';
  return [invalid(field, version, detail), ...errors];
}

function validateCapacities(device: Device, field: string): FieldError[] {
  const shared = device.allowMultipleAllocations === true;
  return Object.entries(device.capacity ?? {}).flatMap(([name, capacity]) => {
    const errors = validateAttributeName(name, field);
    const { requestPolicy } = capacity;
    if (requestPolicy === undefined) return errors;
    const at = `${field}[${name}].requestPolicy`;
    if (!shared) return [...errors, forbidden(at, 'allowMultipleAllocations must be true')];
    return [...errors, ...validatePolicy(capacity, requestPolicy, at)];
  });
}

function validatePolicy(
  { value }: DeviceCapacity,
  policy: CapacityRequestPolicy,
  field: string,
): FieldError[] {
  const { validValues = [], validRange, default: usual } = policy;
  if (validValues.length > 0 && validRange !== undefined) {
    const detail =
      'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time';
    return [forbidden(field, detail)];
  }
  const kind = validValues.length > 0 ? 'validValues' : 'validRange';
  if (validValues.length === 0 && validRange === undefined) return [];
  if (usual === undefined) {
    return [required(`${field}.default`, `required when ${kind} is defined`)];
  }
  return validRange === undefined
    ? validateOptions(validValues, { usual, most: value }, `${field}.validValues`)
    : validateRange(validRange, { usual, most: value }, `${field}.validRange`);
}

interface Amounts {
  readonly usual: string;
  readonly most: string;
}

function validateOptions(
  options: readonly string[],
  { usual, most }: Amounts,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, option] of options.entries()) {
    const before = options[index - 1];
    if (before === undefined || compareQuantities(before, option) <= 0) continue;
    const detail = 'values must be sorted in ascending order';
    errors.push(invalid(`${field}[${index}]`, option, detail));
  }
  const judged = validateSet(options, field, {
    itemsMax: optionsMax,
    judge: (option, at) =>
      compareQuantities(option, most) > 0
        ? [invalid(at, option, `option is larger than capacity value: ${most}`)]
        : [],
    key: (option) => String(quantityValue(option)),
  });
  errors.push(...judged);
  if (options.some((option) => compareQuantities(option, usual) === 0)) return errors;
  const detail = 'default value is not valid according to the requestPolicy';
  return [...errors, invalid(field, usual, detail)];
}

function validateRange(
  { min, max, step }: CapacityRequestPolicyRange,
  { usual, most }: Amounts,
  field: string,
): FieldError[] {
  if (!min) return [required(`${field}.min`, 'required when validRange is defined')];
  const errors: FieldError[] = [];
  const refuse = (key: string, value: string, detail: string): void => {
    errors.push(invalid(`${field}.${key}`, value, detail));
  };
  if (compareQuantities(min, most) > 0) {
    refuse('min', min, `min is larger than capacity value: ${most}`);
  }
  if (compareQuantities(usual, min) < 0) refuse('min', usual, `default is less than min: ${min}`);
  if (max !== undefined) {
    if (compareQuantities(min, max) > 0) refuse('max', min, `min is larger than max: ${max}`);
    if (compareQuantities(max, most) > 0) {
      refuse('max', max, `max is larger than capacity value: ${most}`);
    }
    if (compareQuantities(usual, max) > 0) refuse('max', usual, `default is more than max: ${max}`);
  }
  if (step === undefined) return errors;
  const next = addQuantities(min, step);
  if (compareQuantities(next, most) > 0) {
    refuse('step', step, `one step ${next} is larger than capacity value: ${most}`);
  }
  for (const value of max === undefined ? [usual] : [usual, max]) {
    const over = (quantityValue(value) - quantityValue(min)) % quantityValue(step);
    const detail = `value is not a multiple of a given step (${step}) from (${min})`;
    if (over !== 0) refuse('step', value, detail);
  }
  return errors;
}

/** Where a device is that says so itself. */
function validatePlace(device: Device, field: string): FieldError[] {
  const { nodeName, nodeSelector, allNodes } = device;
  const errors: FieldError[] = [];
  if (nodeName === '') errors.push(invalid(`${field}.nodeName`, '', 'must not be empty'));
  else if (nodeName !== undefined) errors.push(...validateNodeName(nodeName, `${field}.nodeName`));
  if (nodeSelector !== undefined) {
    errors.push(...validateStrictNodeSelector(nodeSelector, `${field}.nodeSelector`));
  }
  if (allNodes === false) {
    errors.push(invalid(`${field}.allNodes`, false, 'must be either unset or set to true'));
  }
  const places = [
    ...(nodeName ? ['`nodeName`'] : []),
    ...(nodeSelector === undefined ? [] : ['`nodeSelector`']),
    ...(allNodes === true ? ['`allNodes`'] : []),
  ];
  if (places.length === 1) return errors;
  const detail =
    'exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec';
  if (places.length === 0) return [...errors, required(field, detail)];
  return [...errors, invalid(field, `{${places.join(', ')}}`, detail)];
}

function validateNoPlace(device: Device, field: string): FieldError[] {
  const { nodeName, nodeSelector, allNodes } = device;
  if (nodeName === undefined && nodeSelector === undefined && allNodes === undefined) return [];
  const detail =
    '`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec';
  return [invalid(field, null, detail)];
}

export function validateNodeName(name: string, field: string): FieldError[] {
  return subdomainProblems(name).map((problem) => invalid(field, name, problem));
}

function validateMappings(device: Device, field: string): FieldError[] {
  const entries = Object.entries(device.nodeAllocatableResourceMappings ?? {});
  return entries.flatMap(([name, { allocationMultiplier: times, capacityKey }]) => {
    const at = `${field}[${name}]`;
    const errors: FieldError[] = [];
    if (name.includes('/') && !name.includes('kubernetes.io/')) {
      errors.push(invalid(at, name, 'must be a node allocatable resource name'));
    }
    if (times === undefined && capacityKey === undefined) {
      const detail = 'at least one of allocationMultiplier or capacityKey must be set';
      return [...errors, invalid(at, '', detail)];
    }
    if (times !== undefined && compareQuantities(times, '0') <= 0) {
      errors.push(invalid(`${at}.allocationMultiplier`, times, 'must be positive'));
    }
    if (capacityKey === '') {
      errors.push(invalid(`${at}.capacityKey`, '', 'capacityKey must not be an empty string'));
    } else if (capacityKey !== undefined && device.capacity?.[capacityKey] === undefined) {
      errors.push(fieldNotFound(`${at}.capacityKey`, capacityKey));
    }
    return errors;
  });
}
