/**
 * PodDisruptionBudget: how many pods of a group may be away on purpose at once. Evictions ask it;
 * the disruption controller counts. Stored as policy/v1; in policy/v1beta1 an empty selector meant
 * no pods, where today it means all, so the views translate.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import type { KubeObject } from '#api/object.ts';
import { defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import type { LabelSelector } from '#api/selectors.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { validateAtMostAll, validateCountOrPercent } from '../count-or-percent.ts';
import { changeMember } from '../fill-in.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import type { Condition } from '../types/meta-v1.ts';
import type { PodDisruptionBudget } from '../types/policy-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { hubView } from '../view.ts';

const unhealthyPolicies = ['AlwaysAllow', 'IfHealthyBudget'];

export function podDisruptionBudgetResource(): Resource {
  return defineResource<PodDisruptionBudget>({
    kind: 'PodDisruptionBudget',
    plural: 'poddisruptionbudgets',
    singular: 'poddisruptionbudget',
    shortNames: ['pdb'],
    categories: [],
    namespaced: true,
    storagePrefix: 'poddisruptionbudgets',
    metadataRechecked: 'never',
    nameRule: 'pathSegment',
    views: [view('v1'), legacyView()],
    hasStatus: true,
    allowUnconditionalUpdate: false,
    specChanged: (next, old) => !jsonEqual(next.spec, old.spec),
    prepareForCreate: (budget) => ({
      ...budget,
      status: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 },
    }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateBudget,
    validateStatusUpdate: validateBudgetStatus,
    columns: [
      nameColumn(),
      {
        name: 'Min Available',
        type: 'string',
        description: 'Pods that must stay available.',
        priority: 0,
        cell: ({ spec }) => String(spec?.minAvailable ?? 'N/A'),
      },
      {
        name: 'Max Unavailable',
        type: 'string',
        description: 'Pods that may be away.',
        priority: 0,
        cell: ({ spec }) => String(spec?.maxUnavailable ?? 'N/A'),
      },
      {
        name: 'Allowed Disruptions',
        type: 'integer',
        description: 'Pods that may be evicted now.',
        priority: 0,
        cell: ({ status }) => status?.disruptionsAllowed ?? 0,
      },
      ageColumn(),
    ],
  });
}

function view(version: string): ResourceView<PodDisruptionBudget> {
  const definition = `io.k8s.api.policy.${version}.PodDisruptionBudget`;
  return hubView<PodDisruptionBudget>({ group: 'policy', version, definition });
}

/** Stands for "no pods" in today's selectors, and for "all pods" in the old ones. */
const oldLabel = 'pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match';

function isEmpty(selector: LabelSelector): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0;
}

function onlyAsks(selector: LabelSelector, operator: string): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  const [only] = matchExpressions;
  return (
    Object.keys(matchLabels).length === 0 &&
    matchExpressions.length === 1 &&
    only?.key === oldLabel &&
    only.operator === operator
  );
}

function legacyView(): ResourceView<PodDisruptionBudget> {
  const withSelector = (
    budget: PodDisruptionBudget,
    change: (selector: LabelSelector) => LabelSelector,
  ): PodDisruptionBudget =>
    changeMember(budget, 'spec', (spec) => changeMember(spec, 'selector', change));
  return {
    ...view('v1beta1'),
    legacy: true,
    toHub: (object) => ({
      // The view's schema has checked the shape.
      ...withSelector(object as PodDisruptionBudget, selectorOfToday),
      apiVersion: 'policy/v1',
    }),
    fromHub: (hub): KubeObject => ({
      ...withSelector(hub, selectorOfOld),
      apiVersion: 'policy/v1beta1',
    }),
  };
}

function selectorOfToday(selector: LabelSelector): LabelSelector {
  if (isEmpty(selector)) return { matchExpressions: [{ key: oldLabel, operator: 'Exists' }] };
  if (onlyAsks(selector, 'DoesNotExist')) return {};
  // The label is ours; a person's wish about it would change what the two shapes mean.
  const { matchExpressions } = selector;
  if (matchExpressions?.every(({ key }) => key !== oldLabel) ?? true) return selector;
  const kept = matchExpressions?.filter(({ key }) => key !== oldLabel);
  return { ...selector, matchExpressions: kept };
}

function selectorOfOld(selector: LabelSelector): LabelSelector {
  if (onlyAsks(selector, 'Exists')) return {};
  if (!isEmpty(selector)) return selector;
  return { matchExpressions: [{ key: oldLabel, operator: 'DoesNotExist' }] };
}

function validateBudget({ spec }: PodDisruptionBudget): FieldError[] {
  const errors: FieldError[] = [];
  if (spec?.minAvailable !== undefined && spec.maxUnavailable !== undefined) {
    errors.push(invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set'));
  }
  for (const bound of ['minAvailable', 'maxUnavailable'] as const) {
    const value = spec?.[bound];
    if (value === undefined) continue;
    errors.push(...validateCountOrPercent(value, `spec.${bound}`));
    errors.push(...validateAtMostAll(value, `spec.${bound}`));
  }
  errors.push(...validateLabelSelector(spec?.selector, 'spec.selector'));
  const { unhealthyPodEvictionPolicy: policy } = spec ?? {};
  if (policy !== undefined && !unhealthyPolicies.includes(policy)) {
    errors.push(notSupported('spec.unhealthyPodEvictionPolicy', policy, unhealthyPolicies));
  }
  return errors;
}

function validateBudgetStatus({ status }: PodDisruptionBudget): FieldError[] {
  const counts = [
    'disruptionsAllowed',
    'currentHealthy',
    'desiredHealthy',
    'expectedPods',
  ] as const;
  return [
    ...(status?.conditions ?? []).flatMap((condition, index) =>
      validateCondition(condition, `status.conditions[${index}]`),
    ),
    ...counts.flatMap((count) => validateNotNegative(status?.[count], `status.${count}`)),
  ];
}

const conditionStatuses = ['False', 'True', 'Unknown'];

function validateCondition(condition: Condition, field: string): FieldError[] {
  const { type, status, reason, lastTransitionTime, observedGeneration = 0 } = condition;
  const errors = qualifiedNameProblems(type).map((text) => invalid(`${field}.type`, type, text));
  if (!conditionStatuses.includes(status)) {
    errors.push(notSupported(`${field}.status`, status, conditionStatuses));
  }
  if (observedGeneration < 0) {
    const detail = 'must be greater than or equal to zero';
    errors.push(invalid(`${field}.observedGeneration`, observedGeneration, detail));
  }
  if (!lastTransitionTime) errors.push(required(`${field}.lastTransitionTime`));
  if (!reason) errors.push(required(`${field}.reason`));
  return errors;
}
