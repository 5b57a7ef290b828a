/**
 * PriorityClass: a name for how important pods are. The number behind a name never changes; names
 * that begin with `system-` are the cluster's own, and there are two of them.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { fillAbsent } from '../fill-in.ts';
import type { PriorityClass } from '../types/scheduling-v1.ts';
import { hubView } from '../view.ts';

const userValueMax = 1_000_000_000;
const preemptionPolicies = ['Never', 'PreemptLowerPriority'];

/** Created by the server when it starts. */
export const systemPriorityClasses = [
  {
    name: 'system-node-critical',
    value: 2_000_001_000,
    description: 'For pods that the cluster needs on the node where they are.',
  },
  {
    name: 'system-cluster-critical',
    value: 2_000_000_000,
    description: 'For pods that the cluster needs, on whichever node.',
  },
] as const;

export function priorityClassResource(): Resource {
  return defineResource<PriorityClass>({
    kind: 'PriorityClass',
    plural: 'priorityclasses',
    singular: 'priorityclass',
    shortNames: ['pc'],
    categories: [],
    namespaced: false,
    storagePrefix: 'priorityclasses',
    metadataRechecked: 'change',
    views: [view('v1'), { ...view('v1beta1'), ...legacy('v1beta1') }],
    hasStatus: false,
    // Always the first generation: nothing that counts can change.
    specChanged: () => false,
    prepareForCreate: (priorityClass) => ({
      ...priorityClass,
      metadata: { ...priorityClass.metadata, generation: 1 },
    }),
    validate: validatePriorityClass,
    updateJudgedAlone: true,
    validateUpdate: validatePriorityClassUpdate,
    columns: [
      nameColumn(),
      {
        name: 'Value',
        type: 'integer',
        description: 'Priority of pods of this class.',
        priority: 0,
        cell: ({ value }) => value ?? 0,
      },
      {
        name: 'Global-Default',
        type: 'boolean',
        description: 'Whether pods that name no class are of this one.',
        priority: 0,
        cell: ({ globalDefault }) => globalDefault ?? false,
      },
      ageColumn(),
      {
        name: 'PreemptionPolicy',
        type: 'string',
        description: 'Whether its pods push out less important ones.',
        priority: 0,
        cell: ({ preemptionPolicy }) => preemptionPolicy ?? '',
      },
    ],
  });
}

function view(version: string) {
  return hubView<PriorityClass>({
    group: 'scheduling.k8s.io',
    version,
    definition: `io.k8s.api.scheduling.${version}.PriorityClass`,
    setDefaults: (object) => fillAbsent(object, { preemptionPolicy: 'PreemptLowerPriority' }),
  });
}

function legacy(version: string) {
  return {
    legacy: true,
    // The shape is the same; only the name of the version differs.
    toHub: (object: object) => ({ ...object, apiVersion: 'scheduling.k8s.io/v1' }) as PriorityClass,
    fromHub: (hub: PriorityClass) => ({ ...hub, apiVersion: `scheduling.k8s.io/${version}` }),
  };
}

function validatePriorityClass({ metadata, ...priorityClass }: PriorityClass): FieldError[] {
  const { value = 0, globalDefault = false, preemptionPolicy } = priorityClass;
  const { name = '' } = metadata;
  const errors: FieldError[] = [];
  if (name.startsWith('system-')) {
    const why = systemProblem(name, value, globalDefault);
    if (why !== undefined) {
      const detail = `priority class names with 'system-' prefix are reserved for system use only. error: ${why}`;
      errors.push(forbidden('metadata.name', detail));
    }
  } else if (value > userValueMax) {
    const detail = `maximum allowed value of a user defined priority is ${userValueMax}`;
    errors.push(forbidden('value', detail));
  }
  if (preemptionPolicy === '') errors.push(required('preemptionPolicy'));
  else if (preemptionPolicy !== undefined && !preemptionPolicies.includes(preemptionPolicy)) {
    const choices = ['PreemptLowerPriority', 'Never'];
    errors.push(notSupported('preemptionPolicy', preemptionPolicy, choices));
  }
  return errors;
}

/** Why a class is not the cluster's own of that name. */
function systemProblem(name: string, value: number, globalDefault: boolean): string | undefined {
  const own = systemPriorityClasses.find((one) => one.name === name);
  if (own === undefined) return `${name} is not a known system priority class`;
  if (value !== own.value) return `value of ${name} PriorityClass must be ${own.value}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined;
}

function validatePriorityClassUpdate(next: PriorityClass, old: PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  if ((next.value ?? 0) !== (old.value ?? 0)) {
    errors.push(forbidden('value', 'may not be changed in an update.'));
  }
  if (next.preemptionPolicy !== old.preemptionPolicy) {
    errors.push(invalid('preemptionPolicy', next.preemptionPolicy, 'field is immutable'));
  }
  return errors;
}
