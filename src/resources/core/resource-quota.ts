/**
 * ResourceQuota: how much a namespace may use in all. The object says the bounds, and its status
 * what is used; scopes say which pods or claims count.
 */
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import { compareQuantities, quantityMilliValue } from '#api/quantity.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { inThousandths } from '../amounts.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { isExtendedResource } from '../extended-resource.ts';
import { changeMember } from '../fill-in.ts';
import type {
  ResourceQuota,
  ResourceQuotaSpec,
  ScopedResourceSelectorRequirement,
} from '../types/core-v1.ts';
import { hubView } from '../view.ts';

const counted = [
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
];
const podAmounts = [
  'cpu',
  'memory',
  'requests.cpu',
  'requests.memory',
  'limits.cpu',
  'limits.memory',
];
const otherAmounts = [
  'ephemeral-storage',
  'requests.storage',
  'requests.ephemeral-storage',
  'limits.ephemeral-storage',
];
const podScopes = [
  'Terminating',
  'NotTerminating',
  'NotBestEffort',
  'PriorityClass',
  'CrossNamespacePodAffinity',
];
const existsOnly = [
  'BestEffort',
  'NotBestEffort',
  'Terminating',
  'NotTerminating',
  'CrossNamespacePodAffinity',
];

export function resourceQuotaResource(): Resource {
  return defineResource<ResourceQuota>({
    kind: 'ResourceQuota',
    plural: 'resourcequotas',
    singular: 'resourcequota',
    shortNames: ['quota'],
    categories: [],
    namespaced: true,
    storagePrefix: 'resourcequotas',
    metadataRechecked: 'change',
    views: [
      hubView<ResourceQuota>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.ResourceQuota',
        setDefaults: (given) => {
          const quota = changeMember(given, 'spec', (spec) =>
            changeMember(spec, 'hard', inThousandths),
          );
          return changeMember(quota, 'status', (status) =>
            changeMember(changeMember(status, 'hard', inThousandths), 'used', inThousandths),
          );
        },
      }),
    ],
    hasStatus: true,
    specChanged: () => false,
    prepareForCreate: (quota) => ({ ...quota, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: ({ spec = {} }) => [
      ...validateAmounts(spec.hard ?? {}, 'spec.hard'),
      ...validateScopes(spec),
      ...validateSelector(spec),
    ],
    validateUpdate: (next, old) => {
      const scopes = ({ spec }: ResourceQuota): string => (spec?.scopes ?? []).toSorted().join();
      if (scopes(next) === scopes(old)) return [];
      return [invalid('spec.scopes', next.spec?.scopes, 'field is immutable')];
    },
    validateStatusUpdate: ({ status }) => [
      ...validateAmounts(status?.hard ?? {}, 'status.hard'),
      ...validateAmounts(status?.used ?? {}, 'status.used'),
    ],
    columns: [
      nameColumn(),
      {
        name: 'Request',
        type: 'string',
        description: 'Used and allowed: counts and requests.',
        priority: 0,
        cell: (quota) => formatUse(quota, (name) => !name.startsWith('limits.')),
      },
      {
        name: 'Limit',
        type: 'string',
        description: 'Used and allowed: limits.',
        priority: 0,
        cell: (quota) => formatUse(quota, (name) => name.startsWith('limits.')),
      },
      ageColumn(),
    ],
  });
}

function formatUse({ status }: ResourceQuota, shows: (name: string) => boolean): string {
  return Object.entries(status?.hard ?? {})
    .filter(([name]) => shows(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, hard]) => `${name}: ${status?.used?.[name] ?? '0'}/${hard}`)
    .join(', ');
}

function isStandard(name: string): boolean {
  if ([...counted, ...podAmounts, ...otherAmounts].includes(name)) return true;
  return name.startsWith('hugepages-') || name.startsWith('requests.hugepages-');
}

/** Objects, and what vendors count by the piece. */
function isCounted(name: string): boolean {
  return counted.includes(name) || isExtendedResource(name);
}

function validateAmounts(amounts: Readonly<Record<string, string>>, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [name, amount] of Object.entries(amounts)) {
    const at = `${field}[${name}]`;
    const problems = qualifiedNameProblems(name);
    errors.push(...problems.map((problem) => invalid(at, name, problem)));
    if (!name.includes('/') && !isStandard(name)) {
      const detail = 'must be a standard resource type or fully qualified';
      if (problems.length === 0) errors.push(invalid(at, name, detail));
      errors.push(invalid(at, name, 'must be a standard resource for quota'));
    }
    if (compareQuantities(amount, '0') < 0) {
      errors.push(invalid(at, amount, 'must be greater than or equal to 0'));
    }
    if (isCounted(name) && quantityMilliValue(amount) % 1000 !== 0) {
      errors.push(invalid(at, amount, 'must be an integer'));
    }
  }
  return errors;
}

/** Whether what a scope chooses has such a resource. */
function suits(scope: string, name: string): boolean {
  if (scope === 'BestEffort') return name === 'pods';
  if (podScopes.includes(scope)) return name === 'pods' || podAmounts.includes(name);
  if (scope !== 'VolumeAttributesClass') return true;
  return name === 'persistentvolumeclaims' || name === 'requests.storage';
}

function isScope(scope: string): boolean {
  return scope === 'BestEffort' || scope === 'VolumeAttributesClass' || podScopes.includes(scope);
}

function conflict(scopes: readonly string[]): boolean {
  const has = (a: string, b: string): boolean => scopes.includes(a) && scopes.includes(b);
  return has('BestEffort', 'NotBestEffort') || has('Terminating', 'NotTerminating');
}

function standardNames({ hard = {} }: ResourceQuotaSpec): readonly string[] {
  return Object.keys(hard).filter(isStandard).sort();
}

function validateScopes(spec: ResourceQuotaSpec): FieldError[] {
  const { scopes = [] } = spec;
  const field = 'spec.scopes';
  const errors: FieldError[] = [];
  for (const scope of scopes) {
    if (!isScope(scope)) errors.push(invalid(field, scopes, 'unsupported scope'));
    for (const name of standardNames(spec)) {
      if (suits(scope, name)) continue;
      errors.push(invalid(field, scopes, 'unsupported scope applied to resource'));
    }
  }
  if (conflict(scopes)) errors.push(invalid(field, scopes, 'conflicting scopes'));
  return errors;
}

function validateSelector(spec: ResourceQuotaSpec): FieldError[] {
  const { scopeSelector } = spec;
  const { matchExpressions = [] } = scopeSelector ?? {};
  const field = 'spec.scopeSelector.matchExpressions';
  const errors: FieldError[] = [];
  for (const requirement of matchExpressions) {
    const { scopeName } = requirement;
    if (!isScope(scopeName)) {
      errors.push(invalid(`${field}.scopeName`, scopeName, 'unsupported scope'));
    }
    for (const name of standardNames(spec)) {
      if (suits(scopeName, name)) continue;
      errors.push(invalid(field, scopeSelector, 'unsupported scope applied to resource'));
    }
    errors.push(...validateRequirement(requirement, field));
  }
  if (conflict(matchExpressions.map(({ scopeName }) => scopeName))) {
    errors.push(invalid(field, spec.scopes ?? [], 'conflicting scopes'));
  }
  return errors;
}

function validateRequirement(
  { scopeName, operator, values = [] }: ScopedResourceSelectorRequirement,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (existsOnly.includes(scopeName) && operator !== 'Exists') {
    const detail =
      "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
    errors.push(invalid(`${field}.operator`, operator, detail));
  }
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) {
        const detail =
          "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
        errors.push(required(`${field}.values`, detail));
      }
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        const detail =
          "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
        errors.push(invalid(`${field}.values`, values, detail));
      }
      break;
    default:
      errors.push(invalid(`${field}.operator`, operator, 'not a valid selector operator'));
  }
  return errors;
}
