/**
 * What claims and their templates ask for: devices of a class, how many, and which. Defaults and
 * validation of the part that both share.
 */
import { duplicate, type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems, subdomainProblems } from '#api/names.ts';
import { changeMember, fillIn, mapItems } from '../fill-in.ts';
import type {
  DeviceClaim,
  DeviceRequest,
  DeviceSelector,
  DeviceSubRequest,
  DeviceToleration,
  ExactDeviceRequest,
  ResourceClaimSpec,
} from '../types/resource-v1.ts';

const modes = ['All', 'ExactCount'];
const requestsMax = 32;
const choicesMax = 8;
const selectorsMax = 32;

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
  const at = `${field}.devices`;
  const { requests = [] } = devices;
  if (requests.length > requestsMax) {
    const detail = `must have at most ${requestsMax} items`;
    const field = `${at}.requests`;
    return [{ type: 'FieldValueTooMany', field, badValue: requests.length, detail }];
  }
  const names = new Set<string>();
  const errors = requests.flatMap((request, index) => {
    const place = `${at}.requests[${index}]`;
    const found = [
      ...validateName(request.name, `${place}.name`),
      ...validateRequest(request, place),
    ];
    if (names.has(request.name)) found.push(duplicate(`${place}.name`, request.name));
    names.add(request.name);
    for (const { name } of request.firstAvailable ?? []) names.add(`${request.name}/${name}`);
    return found;
  });
  return [...errors, ...validateMentions(devices, names, at)];
}

/** Constraints and settings speak of requests that are there. */
function validateMentions(
  { constraints = [], config = [] }: DeviceClaim,
  names: ReadonlySet<string>,
  field: string,
): FieldError[] {
  const lists = { constraints, config };
  return Object.entries(lists).flatMap(([key, list]) =>
    list.flatMap(({ requests = [] }, index) =>
      requests.flatMap((name, place) =>
        names.has(name)
          ? []
          : [
              invalid(
                `${field}.${key}[${index}].requests[${place}]`,
                name,
                "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
              ),
            ],
      ),
    ),
  );
}

function validateName(name: string, field: string): FieldError[] {
  if (name === '') return [required(field)];
  return labelProblems(name).map((problem) => invalid(field, name, problem));
}

function validateRequest(request: DeviceRequest, field: string): FieldError[] {
  const { exactly, firstAvailable = [] } = request;
  if (exactly !== undefined && firstAvailable.length > 0) {
    const detail =
      'exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set';
    return [invalid(field, null, detail)];
  }
  if (exactly !== undefined) return validateAsked(exactly, `${field}.exactly`);
  if (firstAvailable.length === 0) {
    return [required(field, 'exactly one of `exactly` or `firstAvailable` is required')];
  }
  const at = `${field}.firstAvailable`;
  if (firstAvailable.length > choicesMax) {
    const detail = `must have at most ${choicesMax} items`;
    return [{ type: 'FieldValueTooMany', field: at, badValue: firstAvailable.length, detail }];
  }
  return firstAvailable.flatMap((choice, index) => [
    ...validateName(choice.name, `${at}[${index}].name`),
    ...validateAsked(choice, `${at}[${index}]`),
  ]);
}

function validateAsked(asked: Asked, field: string): FieldError[] {
  const { deviceClassName, allocationMode = '', count = 0, selectors = [] } = asked;
  const at = `${field}.deviceClassName`;
  const errors =
    deviceClassName === ''
      ? [required(at)]
      : subdomainProblems(deviceClassName).map((problem) => invalid(at, deviceClassName, problem));
  if (!modes.includes(allocationMode)) {
    errors.push(notSupported(`${field}.allocationMode`, allocationMode, modes));
  } else if (allocationMode === 'All' && count !== 0) {
    const detail = "must not be specified when allocationMode is 'All'";
    errors.push(invalid(`${field}.count`, count, detail));
  } else if (allocationMode === 'ExactCount' && count <= 0) {
    errors.push(invalid(`${field}.count`, count, 'must be greater than zero'));
  }
  return [...errors, ...validateDeviceSelectors(selectors, `${field}.selectors`)];
}

/** The form of selectors; their expressions are not compiled. */
export function validateDeviceSelectors(
  selectors: readonly DeviceSelector[],
  field: string,
): FieldError[] {
  if (selectors.length > selectorsMax) {
    const detail = `must have at most ${selectorsMax} items`;
    return [{ type: 'FieldValueTooMany', field, badValue: selectors.length, detail }];
  }
  return selectors.flatMap(({ cel }, index) => {
    const at = `${field}[${index}].cel`;
    if (cel === undefined) return [required(at)];
    return cel.expression === '' ? [required(`${at}.expression`)] : [];
  });
}
