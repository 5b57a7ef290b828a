/**
 * The address families of a Service: what follows from what its writer said, from what it had
 * before, and from the families that this cluster gives addresses of. Pure.
 *
 * Example, in a cluster of IPv4 alone: nothing said gives SingleStack and IPv4; RequireDualStack is
 * refused; PreferDualStack is content with IPv4. A headless Service without selector may have any
 * families, since nobody gives it addresses.
 *
 * What an update leaves out is the kind's own affair (`resources/core/service/defaults.ts`) and
 * done before this. `service-allocator.ts` calls this and then takes addresses.
 */
import { isIPv6 } from 'node:net';
import { duplicate, type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import type { Family } from '#kit/ip-network.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { validateIP } from '#resources/ip-syntax.ts';
import type { ServiceSpec } from '#resources/types/core-v1.ts';

export interface FamilyPlan {
  readonly spec: ServiceSpec;
  readonly errors: readonly FieldError[];
}

const families = ['IPv4', 'IPv6'];
const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];

const field = {
  addresses: 'spec.clusterIPs',
  families: 'spec.ipFamilies',
  policy: 'spec.ipFamilyPolicy',
} as const;

/** `configured`: the families of the cluster, its default first. */
export function planFamilies(
  given: ServiceSpec,
  old: ServiceSpec | undefined,
  configured: readonly string[],
): FamilyPlan {
  if (given.type === 'ExternalName' || staysPreferred(given, old)) {
    return { spec: given, errors: [] };
  }
  const policy = given.ipFamilyPolicy ?? old?.ipFamilyPolicy ?? defaultPolicy(given);
  let spec: ServiceSpec = { ...given, ipFamilyPolicy: policy };
  const unfit = validateAddressFields(spec);
  if (unfit.length > 0) return { spec, errors: unfit };
  const errors: FieldError[] = [];
  if (old !== undefined && policy === 'SingleStack') spec = shortened(spec, old);
  else if (old !== undefined) errors.push(...reduced(spec, old));
  errors.push(...tooManyForSingle(spec));
  const inferred = inferFamilies(spec, configured);
  errors.push(...inferred.errors);
  spec = inferred.spec;
  if (errors.length > 0) return { spec, errors };
  return isFree(spec) ? freeFamilies(spec, configured) : boundFamilies(spec, configured);
}

/** Headless and without selector. */
function isFree({ clusterIP, selector = {} }: ServiceSpec): boolean {
  return clusterIP === 'None' && Object.keys(selector).length === 0;
}

function defaultPolicy(spec: ServiceSpec): string {
  return isFree(spec) ? 'RequireDualStack' : 'SingleStack';
}

/** One that prefers two families keeps what it got, whatever the cluster has come to give. */
function staysPreferred(spec: ServiceSpec, old: ServiceSpec | undefined): boolean {
  if (old === undefined || spec.ipFamilyPolicy !== 'PreferDualStack' || spec.type !== old.type) {
    return false;
  }
  if (old.ipFamilyPolicy !== undefined && old.ipFamilyPolicy !== 'PreferDualStack') return false;
  return (
    jsonEqual(spec.clusterIPs ?? [], old.clusterIPs ?? []) &&
    jsonEqual(spec.ipFamilies ?? [], old.ipFamilies ?? [])
  );
}

/** What the fields say of themselves and of one another. */
function validateAddressFields(spec: ServiceSpec): FieldError[] {
  const { clusterIP = '', clusterIPs = [], ipFamilies = [], ipFamilyPolicy = '' } = spec;
  const errors: FieldError[] = [];
  if (clusterIP !== '' && clusterIPs.length === 0) errors.push(required(field.addresses, ''));
  else if (clusterIP !== '' && clusterIPs[0] !== clusterIP) {
    errors.push(invalid(field.addresses, clusterIPs, 'first value must match `clusterIP`'));
  } else if (clusterIP === '' && clusterIPs.length > 0) {
    const detail = 'must be empty when `clusterIP` is not specified';
    errors.push(invalid(field.addresses, clusterIPs, detail));
  }
  for (const [index, family] of ipFamilies.entries()) {
    const at = `${field.families}[${index}]`;
    if (!families.includes(family)) errors.push(notSupported(at, family, families));
    if (ipFamilies.indexOf(family) < index) errors.push(duplicate(at, family));
  }
  if (!policies.includes(ipFamilyPolicy)) {
    errors.push(notSupported(field.policy, ipFamilyPolicy, policies));
  }
  const unfit = validateAddresses(clusterIPs);
  if (clusterIPs.length > 2) {
    unfit.push(invalid(field.addresses, clusterIPs, 'may only hold up to 2 values'));
  }
  errors.push(...unfit);
  return unfit.length > 0 ? errors : [...errors, ...validateFamilies(clusterIPs, ipFamilies)];
}

function validateAddresses(clusterIPs: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, address] of clusterIPs.entries()) {
    if (index > 0 || address !== 'None') {
      errors.push(...validateIP(address, `${field.addresses}[${index}]`));
    } else if (clusterIPs.length > 1) {
      const detail = "'None' must be the first and only value";
      errors.push(invalid(field.addresses, clusterIPs, detail));
    }
  }
  return errors;
}

function validateFamilies(
  clusterIPs: readonly string[],
  ipFamilies: readonly string[],
): FieldError[] {
  const errors: FieldError[] = [];
  const [first = '', second = ''] = clusterIPs;
  if (clusterIPs.length === 2 && familyOf(first) === familyOf(second)) {
    const detail = 'may specify no more than one IP for each IP family';
    errors.push(invalid(field.addresses, clusterIPs, detail));
  }
  if (first === 'None') return errors;
  for (const [index, address] of clusterIPs.entries()) {
    const family = ipFamilies[index] ?? '';
    if (!families.includes(family) || familyOf(address) === family) continue;
    const detail = `expected an ${family} value as indicated by \`ipFamilies[${index}]\``;
    errors.push(invalid(`${field.addresses}[${index}]`, address, detail));
  }
  return errors;
}

export function familyOf(address: string): Family {
  return isIPv6(address) ? 'IPv6' : 'IPv4';
}

/** Saying SingleStack is reason enough to give up the second address and family. */
function shortened(spec: ServiceSpec, old: ServiceSpec): ServiceSpec {
  const { clusterIPs = [], ipFamilies = [] } = spec;
  return {
    ...spec,
    ...(jsonEqual(clusterIPs, old.clusterIPs ?? []) && clusterIPs.length > 1
      ? { clusterIPs: clusterIPs.slice(0, 1) }
      : {}),
    ...(jsonEqual(ipFamilies, old.ipFamilies ?? []) && ipFamilies.length > 1
      ? { ipFamilies: ipFamilies.slice(0, 1) }
      : {}),
  };
}

function reduced(spec: ServiceSpec, old: ServiceSpec): FieldError[] {
  const less = (next: readonly string[] = [], before: readonly string[] = []): boolean =>
    next.length > 0 && next.length < before.length;
  const what: string[] = [];
  if (less(spec.clusterIPs, old.clusterIPs)) what.push('cluster IP');
  if (less(spec.ipFamilies, old.ipFamilies)) what.push('IP family');
  return what.map((name) =>
    invalid(
      field.policy,
      spec.ipFamilyPolicy,
      `must be 'SingleStack' to release the secondary ${name}`,
    ),
  );
}

function tooManyForSingle(spec: ServiceSpec): FieldError[] {
  if (spec.ipFamilyPolicy !== 'SingleStack') return [];
  const what: string[] = [];
  if (spec.clusterIPs?.length === 2) what.push('cluster IPs');
  if (spec.ipFamilies?.length === 2) what.push('IP families');
  return what.map((name) =>
    invalid(
      field.policy,
      spec.ipFamilyPolicy,
      `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${name} are specified`,
    ),
  );
}

/** Addresses without a family beside them have their own. */
function inferFamilies(spec: ServiceSpec, configured: readonly string[]): FamilyPlan {
  const { clusterIPs = [] } = spec;
  const ipFamilies = [...(spec.ipFamilies ?? [])];
  const errors: FieldError[] = [];
  for (const [index, address] of clusterIPs.entries()) {
    if (address === 'None') break;
    if (index < ipFamilies.length) continue;
    const family = familyOf(address);
    if (configured.includes(family)) ipFamilies.push(family);
    else {
      const detail = `${family} is not configured on this cluster`;
      errors.push(invalid(`${field.addresses}[${index}]`, clusterIPs, detail));
    }
  }
  return { spec: ipFamilies.length === 0 ? spec : { ...spec, ipFamilies }, errors };
}

function otherThan(family: string): string {
  return family === 'IPv4' ? 'IPv6' : 'IPv4';
}

function freeFamilies(spec: ServiceSpec, [usual = 'IPv4']: readonly string[]): FamilyPlan {
  const [first = usual, second] = spec.ipFamilies ?? [];
  const two = second === undefined && spec.ipFamilyPolicy !== 'SingleStack';
  const rest = two ? [otherThan(first)] : second === undefined ? [] : [second];
  return { spec: { ...spec, ipFamilies: [first, ...rest] }, errors: [] };
}

function boundFamilies(spec: ServiceSpec, configured: readonly string[]): FamilyPlan {
  const { ipFamilyPolicy: policy, ipFamilies = [] } = spec;
  const errors: FieldError[] = [];
  if (policy === 'RequireDualStack' && configured.length < 2) {
    const detail = 'this cluster is not configured for dual-stack services';
    errors.push(invalid(field.policy, policy, detail));
  }
  for (const [index, family] of ipFamilies.entries()) {
    if (configured.includes(family)) continue;
    errors.push(invalid(`${field.families}[${index}]`, family, 'not configured on this cluster'));
  }
  if (errors.length > 0) return { spec, errors };
  const [first = configured[0] ?? 'IPv4', ...others] = ipFamilies;
  const grows = policy !== 'SingleStack' && others.length === 0 && configured.length === 2;
  const rest = grows ? [otherThan(first)] : others;
  return { spec: { ...spec, ipFamilies: [first, ...rest] }, errors: [] };
}
