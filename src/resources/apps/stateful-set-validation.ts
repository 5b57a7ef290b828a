/**
 * Validation of StatefulSets. Volumes of the claim templates count as volumes of the pod template;
 * most of the spec is fixed once it is written.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems } from '#api/names.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { templateWarnings } from '#resources/core/pod/warnings.ts';
import { validateClaimSpec } from '../core/persistent-volume-claim-validation.ts';
import { amountOf, validateAtMostAll, validateCountOrPercent } from '../count-or-percent.ts';
import type { StatefulSet, StatefulSetSpec } from '../types/apps-v1.ts';
import type { PodTemplateSpec } from '../types/core-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { validateCollisionCount, validateCounts } from './status-counts.ts';
import { validateSelectedTemplate } from './workload-validation.ts';

const retentionPolicies = ['Retain', 'Delete'];

export function validateStatefulSet({ spec }: StatefulSet): FieldError[] {
  if (spec === undefined) return [required('spec.selector'), required('spec.template')];
  const { serviceName } = spec;
  return [
    ...validatePodManagementPolicy(spec.podManagementPolicy),
    ...validateUpdateStrategy(spec.updateStrategy ?? {}, 'spec.updateStrategy'),
    ...validateRetention(spec),
    ...validateNotNegative(spec.replicas, 'spec.replicas'),
    ...validateNotNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...validateNotNegative(spec.ordinals?.start, 'spec.ordinals.start'),
    ...(serviceName
      ? labelProblems(serviceName).map((text) => invalid('spec.serviceName', serviceName, text))
      : []),
    ...validateSelectedTemplate({ ...spec, template: templateWithClaims(spec) }, 'StatefulSet'),
  ];
}

/** Claims cannot change later, so they are looked at but once. */
export function validateNewStatefulSet({ spec }: StatefulSet): FieldError[] {
  return (spec?.volumeClaimTemplates ?? []).flatMap((claim, index) =>
    validateClaimSpec(claim.spec ?? {}, `spec.volumeClaimTemplates[${index}].spec`),
  );
}

function validatePodManagementPolicy(policy: string | undefined): FieldError[] {
  const field = 'spec.podManagementPolicy';
  if (!policy) return [required(field)];
  if (policy === 'OrderedReady' || policy === 'Parallel') return [];
  return [invalid(field, policy, "must be 'OrderedReady' or 'Parallel'")];
}

function validateUpdateStrategy(
  strategy: NonNullable<StatefulSetSpec['updateStrategy']>,
  field: string,
): FieldError[] {
  const { type, rollingUpdate } = strategy;
  if (!type) return [required(field)];
  if (type === 'OnDelete') {
    if (rollingUpdate === undefined) return [];
    const detail = "only allowed for updateStrategy 'RollingUpdate'";
    return [invalid(`${field}.rollingUpdate`, rollingUpdate, detail)];
  }
  if (type !== 'RollingUpdate') {
    return [invalid(field, strategy, "must be 'RollingUpdate' or 'OnDelete'")];
  }
  if (rollingUpdate === undefined) return [];
  const errors = validateNotNegative(rollingUpdate.partition, `${field}.rollingUpdate.partition`);
  const { maxUnavailable } = rollingUpdate;
  if (maxUnavailable === undefined) return errors;
  const at = `${field}.rollingUpdate.maxUnavailable`;
  errors.push(...validateCountOrPercent(maxUnavailable, at));
  if (amountOf(maxUnavailable) === 0) errors.push(invalid(at, maxUnavailable, 'cannot be 0'));
  return [...errors, ...validateAtMostAll(maxUnavailable, at)];
}

function validateRetention({ persistentVolumeClaimRetentionPolicy: policy }: StatefulSetSpec) {
  if (policy === undefined) return [];
  return (['whenDeleted', 'whenScaled'] as const).flatMap((when): FieldError[] => {
    const value = policy[when] ?? '';
    if (retentionPolicies.includes(value)) return [];
    const field = `spec.persistentVolumeClaimRetentionPolicy.${when}`;
    return [notSupported(field, value, retentionPolicies)];
  });
}

/** The template as its pods will be: with volumes of the claims, named by the controller. */
function templateWithClaims({ template, volumeClaimTemplates = [] }: StatefulSetSpec) {
  if (template?.spec === undefined) return template;
  const { subdomain: _subdomain, hostname: _hostname, ...spec } = template.spec;
  const claims = volumeClaimTemplates.map(({ metadata }) => {
    const name = metadata?.name ?? '';
    return { name, persistentVolumeClaim: { claimName: name } };
  });
  const names = new Set(claims.map(({ name }) => name));
  const kept = (spec.volumes ?? []).filter(({ name }) => !names.has(name));
  const next: PodTemplateSpec = { ...template, spec: { ...spec, volumes: [...claims, ...kept] } };
  return next;
}

const mutable: ReadonlySet<string> = new Set([
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
]);

export function validateStatefulSetUpdate(next: StatefulSet, old: StatefulSet): FieldError[] {
  const fixed = (spec: StatefulSetSpec | undefined): object =>
    Object.fromEntries(Object.entries(spec ?? {}).filter(([key]) => !mutable.has(key)));
  if (jsonEqual(fixed(next.spec), fixed(old.spec))) return [];
  const detail =
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', " +
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and " +
    "'minReadySeconds' are forbidden";
  return [forbidden('spec', detail)];
}

const parts = ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'] as const;
const counts = ['replicas', ...parts, 'observedGeneration', 'collisionCount'] as const;

export function validateStatefulSetStatus({ status }: StatefulSet, old: StatefulSet): FieldError[] {
  return [
    ...validateCounts(status ?? {}, { all: counts, parts, ready: 'status.readyReplicas' }),
    ...validateCollisionCount(status?.collisionCount, old.status?.collisionCount),
  ];
}

export function statefulSetWarnings(
  { metadata, spec }: StatefulSet,
  old: StatefulSet | undefined,
): string[] {
  const isSame = old !== undefined && metadata.generation === old.metadata.generation;
  const ofTemplate = isSame ? [] : templateWarnings(spec?.template, 'spec.template');
  if ((spec?.revisionHistoryLimit ?? 0) >= 0) return ofTemplate;
  return [
    ...ofTemplate,
    'spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended',
  ];
}
