/**
 * Validation of resource requests and limits: known names, amounts that make sense, and no request
 * above its limit. Used for containers, whole pods and wherever else resources are asked for.
 */
import { type FieldError, forbidden, invalid, required } from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import { compareQuantities, quantity } from '#api/quantity.ts';
import type { ResourceRequirements } from '#resources/types/core-v1.ts';

const standard: ReadonlySet<string> = new Set(['cpu', 'memory', 'ephemeral-storage']);
const hugePages = 'hugepages-';

type Amounts = Readonly<Record<string, string>>;

export function validateResources(
  resources: ResourceRequirements | undefined,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (resources === undefined) return errors;
  const { limits = {}, requests = {} } = resources;
  const limitsAt = `${field}.limits`;
  const requestsAt = `${field}.requests`;
  for (const name in limits) {
    errors.push(...validateAmount(name, limits[name] ?? '0', `${limitsAt}[${name}]`));
  }
  for (const name in requests) {
    const amount = requests[name] ?? '0';
    errors.push(...validateAmount(name, amount, `${requestsAt}[${name}]`));
    const limit = Object.hasOwn(limits, name) ? limits[name] : undefined;
    if (limit !== undefined) {
      errors.push(...validateRequest(name, amount, limit, requestsAt));
    } else if (!mayOvercommit(name)) {
      errors.push(required(limitsAt, 'Limit must be set for non overcommitable resources'));
    }
  }
  errors.push(...validateHugePages(limits, requests, field));
  return errors;
}

function validateAmount(name: string, amount: string, at: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const problem of resourceNameProblems(name)) errors.push(invalid(at, name, problem));
  if (compareQuantities(amount, '0') < 0) {
    errors.push(invalid(at, amount, 'must be greater than or equal to 0'));
  }
  if (!mayBeFraction(name) && quantity(amount).nano % 1_000_000_000n !== 0n) {
    errors.push(invalid(at, amount, 'must be an integer'));
  }
  return errors;
}

function validateRequest(name: string, request: string, limit: string, at: string): FieldError[] {
  const order = compareQuantities(request, limit);
  if (!mayOvercommit(name)) {
    if (order === 0) return [];
    return [invalid(at, request, `must be equal to ${name} limit of ${limit}`)];
  }
  if (order <= 0) return [];
  return [invalid(at, request, `must be less than or equal to ${name} limit of ${limit}`)];
}

/** Huge pages make no sense for a container without cpu or memory. */
function validateHugePages(limits: Amounts, requests: Amounts, field: string): FieldError[] {
  const has = (is: (name: string) => boolean): boolean => {
    for (const name in limits) if (is(name)) return true;
    for (const name in requests) if (is(name)) return true;
    return false;
  };
  if (!has((name) => name.startsWith(hugePages))) return [];
  if (has((name) => name === 'cpu' || name === 'memory')) return [];
  return [forbidden(field, 'HugePages require cpu or memory')];
}

function resourceNameProblems(name: string): readonly string[] {
  const problems = qualifiedNameProblems(name);
  if (name.includes('/') || standard.has(name) || name.startsWith(hugePages)) return problems;
  const named = 'must be a standard resource type or fully qualified';
  return [
    ...(problems.length > 0 ? problems : [named]),
    'must be a standard resource for containers',
  ];
}

/** What has no domain, or the project's own, is no extended resource. */
function isNative(name: string): boolean {
  return !name.includes('/') || name.includes('kubernetes.io/');
}

function mayOvercommit(name: string): boolean {
  return isNative(name) && !name.startsWith(hugePages);
}

/** Extended resources are counted whole. */
function mayBeFraction(name: string): boolean {
  return isNative(name);
}
