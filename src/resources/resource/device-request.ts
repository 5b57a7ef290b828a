/**
 * What claims and their templates ask for: devices of a class, how many, and which. Defaults and
 * validation of the part that both share.
 */
import {
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
  tooLong,
  tooMany,
} from '#api/field-error.ts';
import { byteLength, labelProblems, subdomainProblems } from '#api/names.ts';
import { changeMember, fillIn, mapItems } from '../fill-in.ts';
import type {
  DeviceClaim,
  DeviceConstraint,
  DeviceRequest,
  DeviceSelector,
  DeviceSubRequest,
  DeviceToleration,
  ExactDeviceRequest,
  ResourceClaimSpec,
} from '../types/resource-v1.ts';
import { compileDeviceExpression, deviceExpressionLimits } from './device-expression.ts';
import {
  validateConfiguration,
  validateFullAttributeName,
  validateSet,
  validateToleration,
} from './device-parts.ts';

const modes = ['All', 'ExactCount'];
const requestsMax = 32;
const choicesMax = 8;
/** Of constraints, settings and selectors. */
const itemsMax = 32;

type Asked = ExactDeviceRequest | DeviceSubRequest;

export function setClaimDefaults(spec: ResourceClaimSpec): ResourceClaimSpec {
  return changeMember(spec, 'devices', (devices) =>
    changeMember(devices, 'requests', (requests) => mapItems(requests, setRequestDefaults)),
  );
}

function setRequestDefaults(request: DeviceRequest): DeviceRequest {
  const exact = changeMember(request, 'exactly', setAskedDefaults);
  return changeMember(exact, 'firstAvailable', (choices) => mapItems(choices, setAskedDefaults));
}

function setAskedDefaults<T extends Asked>(asked: T): T {
  const mode: Partial<Asked> = { allocationMode: 'ExactCount' };
  const one: Partial<Asked> = { count: 1 };
  // Both sorts of requests have these two members.
  let next = fillIn(asked, mode as Partial<T>);
  if (next.allocationMode === 'ExactCount' && !next.count) {
    next = { ...next, ...(one as Partial<T>) };
  }
  const operator: Partial<DeviceToleration> = { operator: 'Equal' };
  const { tolerations } = next;
  if (tolerations === undefined) return next;
  const filled = mapItems(tolerations, (toleration) => fillIn(toleration, operator));
  return filled === tolerations ? next : { ...next, tolerations: filled };
}

export function validateClaimSpec(spec: ResourceClaimSpec, field: string): FieldError[] {
  const { devices = {} } = spec;
  const { requests = [], constraints = [], config = [] } = devices;
  const at = `${field}.devices`;
  const names = requestNames(devices);
  return [
    ...validateSet(requests, `${at}.requests`, {
      itemsMax: requestsMax,
      judge: validateRequest,
      key: ({ name }) => name,
    }),
    ...validateList(constraints, `${at}.constraints`, (constraint, place) =>
      validateConstraint(constraint, place, names),
    ),
    ...validateList(config, `${at}.config`, (one, place) => [
      ...validateMentions(one.requests, `${place}.requests`, names),
      ...validateConfiguration(one, place),
    ]),
  ];
}

function validateList<T>(
  list: readonly T[],
  field: string,
  judge: (item: T, field: string) => readonly FieldError[],
): readonly FieldError[] {
  if (list.length > itemsMax) return [tooMany(field, list.length, itemsMax)];
  return list.flatMap((item, index) => judge(item, `${field}[${index}]`));
}

/** `gpu`, and `gpu/large` for one of its alternatives. */
export function requestNames({ requests = [] }: DeviceClaim): ReadonlySet<string> {
  const names = requests.flatMap(({ name, firstAvailable = [] }) => [
    name,
    ...firstAvailable.map((choice) => `${name}/${choice.name}`),
  ]);
  return new Set(names);
}

function validateConstraint(
  { requests, matchAttribute, distinctAttribute }: DeviceConstraint,
  field: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const errors = validateMentions(requests, `${field}.requests`, names);
  if (matchAttribute !== undefined) {
    return [...errors, ...validateFullAttributeName(matchAttribute, `${field}.matchAttribute`)];
  }
  if (distinctAttribute !== undefined) {
    const at = `${field}.distinctAttribute`;
    return [...errors, ...validateFullAttributeName(distinctAttribute, at)];
  }
  // Upstream's words, which speak of too many where there are none.
  const detail =
    'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set';
  return [...errors, required(field, detail)];
}

/** Constraints and settings speak of requests that are there. */
export function validateMentions(
  mentioned: readonly string[] = [],
  field: string,
  names: ReadonlySet<string>,
): FieldError[] {
  return validateSet(mentioned, field, {
    itemsMax: requestsMax,
    judge: (name, at) => validateMention(name, at, names),
    key: (name) => name,
  });
}

export function validateMention(
  name: string,
  field: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const detail =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
  const parts = name.split('/');
  if (parts.length > 2) return [invalid(field, name, detail)];
  const errors = parts.flatMap((part) => validateLabel(part, field));
  return names.has(name) ? errors : [...errors, invalid(field, name, detail)];
}

export function validateLabel(name: string, field: string): FieldError[] {
  return labelProblems(name).map((problem) => invalid(field, name, problem));
}

function validateRequest(request: DeviceRequest, field: string): FieldError[] {
  const { exactly, firstAvailable = [] } = request;
  const errors = validateLabel(request.name ?? '', `${field}.name`);
  if (exactly !== undefined && firstAvailable.length > 0) {
    const detail =
      'exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set';
    return [...errors, invalid(field, null, detail)];
  }
  if (exactly !== undefined) return [...errors, ...validateAsked(exactly, `${field}.exactly`)];
  if (firstAvailable.length === 0) {
    const detail = 'exactly one of `exactly` or `firstAvailable` is required';
    return [...errors, required(field, detail)];
  }
  const choices = validateSet(firstAvailable, `${field}.firstAvailable`, {
    itemsMax: choicesMax,
    judge: (choice, at) => [
      ...validateLabel(choice.name ?? '', `${at}.name`),
      ...validateAsked(choice, at),
    ],
    key: ({ name }) => name,
  });
  return [...errors, ...choices];
}

function validateAsked(asked: Asked, field: string): FieldError[] {
  const { deviceClassName = '', selectors = [], tolerations = [] } = asked;
  const at = `${field}.deviceClassName`;
  const errors =
    deviceClassName === ''
      ? [required(at)]
      : subdomainProblems(deviceClassName).map((problem) => invalid(at, deviceClassName, problem));
  errors.push(...validateDeviceSelectors(selectors, `${field}.selectors`));
  errors.push(...validateMode(asked, field));
  for (const [index, toleration] of tolerations.entries()) {
    errors.push(...validateToleration(toleration, `${field}.tolerations[${index}]`));
  }
  return errors;
}

function validateMode({ allocationMode = '', count = 0 }: Asked, field: string): FieldError[] {
  if (!modes.includes(allocationMode)) {
    return [notSupported(`${field}.allocationMode`, allocationMode, modes)];
  }
  if (allocationMode === 'All' && count !== 0) {
    const detail = "must not be specified when allocationMode is 'All'";
    return [invalid(`${field}.count`, count, detail)];
  }
  if (allocationMode === 'ExactCount' && count <= 0) {
    return [invalid(`${field}.count`, count, 'must be greater than zero')];
  }
  return [];
}

/** The form of selectors, and that their expressions can be used. */
export function validateDeviceSelectors(
  selectors: readonly DeviceSelector[],
  field: string,
): readonly FieldError[] {
  return validateList(selectors, field, ({ cel }, place) => {
    const at = `${place}.cel`;
    if (cel === undefined) return [required(at)];
    const { expression = '' } = cel;
    const { bytesMax, costMax } = deviceExpressionLimits;
    if (byteLength(expression) > bytesMax) return [tooLong(`${at}.expression`, bytesMax)];
    const compiled = compileDeviceExpression(expression, { stored: false });
    if (!compiled.ok) return [invalid(`${at}.expression`, expression, compiled.error)];
    if (compiled.costMax <= costMax) return [];
    return [forbidden(`${at}.expression`, 'too complex, exceeds cost limit')];
  });
}
