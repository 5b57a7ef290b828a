/**
 * What the status of a claim may say: who got which devices, who uses them, and what drivers tell
 * of each. Devices that somebody uses are not exchanged.
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
import { byteLength } from '#api/names.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { validateConditions } from '../condition-validation.ts';
import { parseBlock } from '../ip-block.ts';
import { validateStrictNodeSelector } from '../node-selector-validation.ts';
import { validateDriverName } from '../storage/driver-name.ts';
import type {
  AllocatedDeviceStatus,
  AllocationResult,
  DeviceAllocationConfiguration,
  DeviceRequestAllocationResult,
  NetworkDeviceData,
  ResourceClaim,
  ResourceClaimConsumerReference,
} from '../types/resource-v1.ts';
import {
  validateBinding,
  validateConfiguration,
  validateParameters,
  validatePoolName,
  validateSet,
} from './device-parts.ts';
import {
  requestNames,
  validateLabel,
  validateMention,
  validateMentions,
} from './device-request.ts';

const usersMax = 256;
const resultsMax = 32;
const settingsMax = 64;
const conditionsMax = 8;
const addressesMax = 16;
const interfaceBytesMax = 256;
const hardwareBytesMax = 128;

export function validateClaimStatus(next: ResourceClaim, old: ResourceClaim): FieldError[] {
  const { allocation, devices = [], reservedFor: users = [] } = next.status ?? {};
  const allocated = allocatedDevices(allocation);
  const errors = [
    ...validateSet(users, 'status.reservedFor', {
      itemsMax: usersMax,
      judge: validateUser,
      key: ({ uid }) => uid,
    }),
    ...validateSet(devices, 'status.devices', {
      judge: (device, at) => validateDeviceStatus(device, at, allocated),
      key: sharedId,
    }),
  ];
  const had = old.status?.allocation;
  if (users.length > 0 && allocation === undefined) {
    const detail = 'may not be specified when `allocated` is not set';
    errors.push(forbidden('status.reservedFor', detail));
  } else if (next.metadata.deletionTimestamp !== undefined && hasNewUser(users, old)) {
    const detail =
      'new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set';
    errors.push(forbidden('status.reservedFor', detail));
  }
  if (had !== undefined && allocation !== undefined && !jsonEqual(allocation, had)) {
    errors.push(invalid('status.allocation', allocation, 'field is immutable'));
  }
  if (had !== undefined || allocation === undefined) return errors;
  const names = requestNames(next.spec.devices ?? {});
  return [...errors, ...validateAllocation(allocation, 'status.allocation', names)];
}

type DeviceNames = Pick<AllocatedDeviceStatus, 'driver' | 'pool' | 'device' | 'shareID'>;

/** As upstream shows the place of a device that stands twice. */
function sharedId({ driver, pool, device, shareID = '' }: DeviceNames): object {
  return { Driver: driver, Pool: pool, Device: device, ShareID: shareID };
}

export function allocatedDevices(allocation: AllocationResult | undefined): ReadonlySet<string> {
  return new Set((allocation?.devices?.results ?? []).map(deviceKey));
}

export function deviceKey(names: DeviceNames): string {
  return JSON.stringify(sharedId(names));
}

function hasNewUser(
  users: readonly ResourceClaimConsumerReference[],
  { status }: ResourceClaim,
): boolean {
  const before = status?.reservedFor ?? [];
  return users.some((user) => !before.some((other) => jsonEqual(user, other)));
}

function validateUser(user: ResourceClaimConsumerReference, field: string): FieldError[] {
  return (['resource', 'name', 'uid'] as const).flatMap((key) =>
    user[key] ? [] : [required(`${field}.${key}`)],
  );
}

function validateDeviceStatus(
  status: AllocatedDeviceStatus,
  field: string,
  allocated: ReadonlySet<string>,
): FieldError[] {
  const { driver = '', pool = '', device = '', conditions = [], data, networkData } = status;
  const errors = [
    ...validateDriverName(driver, `${field}.driver`),
    ...validatePoolName(pool, `${field}.pool`),
    ...validateLabel(device, `${field}.device`),
  ];
  if (!allocated.has(deviceKey({ ...status, driver, pool, device }))) {
    const shown = sharedId({ ...status, driver, pool, device });
    errors.push(invalid(field, shown, 'must be an allocated device in the claim'));
  }
  if (conditions.length > conditionsMax) {
    errors.push(tooMany(`${field}.conditions`, conditions.length, conditionsMax));
  }
  errors.push(...validateConditions(conditions, `${field}.conditions`));
  if (data !== undefined) errors.push(...validateParameters(data, `${field}.data`));
  return [...errors, ...validateNetworkData(networkData ?? {}, `${field}.networkData`)];
}

function validateNetworkData(data: NetworkDeviceData, field: string): FieldError[] {
  const { interfaceName = '', hardwareAddress = '', ips = [] } = data;
  const errors: FieldError[] = [];
  if (byteLength(interfaceName) > interfaceBytesMax) {
    errors.push(tooLong(`${field}.interfaceName`, interfaceBytesMax));
  }
  if (byteLength(hardwareAddress) > hardwareBytesMax) {
    errors.push(tooLong(`${field}.hardwareAddress`, hardwareBytesMax));
  }
  const addresses = validateSet(ips, `${field}.ips`, {
    itemsMax: addressesMax,
    judge: validateInterfaceAddress,
    key: (address) => address,
  });
  return [...errors, ...addresses];
}

function validateInterfaceAddress(address: string, field: string): FieldError[] {
  if (parseBlock(address) !== undefined) return [];
  const detail = 'must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)';
  return [invalid(field, address, detail)];
}

function validateAllocation(
  { devices = {}, nodeSelector }: AllocationResult,
  field: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const { results = [], config = [] } = devices;
  const at = `${field}.devices`;
  const errors: FieldError[] = [];
  if (results.length > resultsMax) {
    errors.push(tooMany(`${at}.results`, results.length, resultsMax));
  } else {
    const judged = results.map((one, index) =>
      validateResult(one, `${at}.results[${index}]`, names),
    );
    errors.push(...judged.flat());
  }
  if (config.length > settingsMax) {
    errors.push(tooMany(`${at}.config`, config.length, settingsMax));
  } else {
    const judged = config.map((one, index) =>
      validateSetting(one, `${at}.config[${index}]`, names),
    );
    errors.push(...judged.flat());
  }
  if (nodeSelector === undefined) return errors;
  return [...errors, ...validateStrictNodeSelector(nodeSelector, `${field}.nodeSelector`)];
}

function validateResult(
  result: DeviceRequestAllocationResult,
  field: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const { request = '', driver = '', pool = '', device = '' } = result;
  return [
    ...validateMention(request, `${field}.request`, names),
    ...validateDriverName(driver, `${field}.driver`),
    ...validatePoolName(pool, `${field}.pool`),
    ...validateLabel(device, `${field}.device`),
    ...validateBinding(result, field),
  ];
}

const origins = ['FromClaim', 'FromClass'];

function validateSetting(
  setting: DeviceAllocationConfiguration,
  field: string,
  names: ReadonlySet<string>,
): FieldError[] {
  const { source, requests } = setting;
  const errors: FieldError[] = [];
  if (!source) errors.push(required(`${field}.source`));
  else if (!origins.includes(source)) {
    errors.push(notSupported(`${field}.source`, source, origins));
  }
  return [
    ...errors,
    ...validateMentions(requests, `${field}.requests`, names),
    ...validateConfiguration(setting, field),
  ];
}
