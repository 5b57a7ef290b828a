/**
 * Validation of what steers scheduling: tolerations, affinity, spreading over topologies.
 * Nodes use the check of taint effects as well.
 */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { labelValueProblems, qualifiedNameProblems } from '#api/names.ts';
import { validateLabelSelector } from '#resources/label-selector-validation.ts';
import { validateNodeSelector, validateNodeTerm } from '#resources/node-selector-validation.ts';
import type {
  Affinity,
  PodAffinityTerm,
  Toleration,
  TopologySpreadConstraint,
  WeightedPodAffinityTerm,
} from '#resources/types/core-v1.ts';

const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

export function validateTaintEffect(effect: string, field: string): FieldError[] {
  return effects.includes(effect) ? [] : [notSupported(field, effect, effects)];
}

export function validateTolerations(
  tolerations: readonly Toleration[],
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, toleration] of tolerations.entries()) {
    errors.push(...validateToleration(toleration, `${field}[${index}]`));
  }
  return errors;
}

function validateToleration(toleration: Toleration, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { key, operator, value, effect, tolerationSeconds } = toleration;
  if (key) {
    for (const problem of qualifiedNameProblems(key))
      errors.push(invalid(`${field}.key`, key, problem));
  } else if (operator !== 'Exists') {
    const detail =
      'operator must be Exists when `key` is empty, which means "match all values and all keys"';
    errors.push(invalid(`${field}.operator`, operator ?? '', detail));
  }
  if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
    const detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
    errors.push(invalid(`${field}.effect`, effect ?? '', detail));
  }
  switch (operator) {
    case undefined:
    case '':
    case 'Equal': {
      const problems = labelValueProblems(value ?? '');
      if (problems.length > 0) {
        errors.push(invalid(`${field}.operator`, value, problems.join(';')));
      }
      break;
    }
    case 'Exists':
      if (value) {
        const detail = "value must be empty when `operator` is 'Exists'";
        errors.push(invalid(`${field}.operator`, toleration, detail));
      }
      break;
    default:
      errors.push(notSupported(`${field}.operator`, operator, ['Equal', 'Exists']));
  }
  if (effect) errors.push(...validateTaintEffect(effect, `${field}.effect`));
  return errors;
}

export function validateAffinity(affinity: Affinity | undefined, field: string): FieldError[] {
  if (affinity === undefined) return [];
  const errors: FieldError[] = [];
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity;
  const must = 'requiredDuringSchedulingIgnoredDuringExecution';
  const may = 'preferredDuringSchedulingIgnoredDuringExecution';
  if (nodeAffinity?.[must] !== undefined) {
    errors.push(...validateNodeSelector(nodeAffinity[must], `${field}.nodeAffinity.${must}`));
  }
  for (const [index, { weight, preference }] of (nodeAffinity?.[may] ?? []).entries()) {
    const at = `${field}.nodeAffinity.${may}[${index}]`;
    errors.push(...validateWeight(weight, `${at}.weight`));
    errors.push(...validateNodeTerm(preference, `${at}.preference`));
  }
  for (const [name, one] of [
    ['podAffinity', podAffinity],
    ['podAntiAffinity', podAntiAffinity],
  ] as const) {
    errors.push(...validatePodTerms(one?.[must] ?? [], `${field}.${name}.${must}`));
    errors.push(...validateWeightedTerms(one?.[may] ?? [], `${field}.${name}.${may}`));
  }
  return errors;
}

function validateWeight(weight: number, field: string): FieldError[] {
  return weight >= 1 && weight <= 100 ? [] : [invalid(field, weight, 'must be in the range 1-100')];
}

function validatePodTerms(terms: readonly PodAffinityTerm[], field: string): FieldError[] {
  return terms.flatMap((term, index) => validatePodTerm(term, `${field}[${index}]`));
}

function validateWeightedTerms(
  terms: readonly WeightedPodAffinityTerm[],
  field: string,
): FieldError[] {
  return terms.flatMap(({ weight, podAffinityTerm }, index) => [
    ...validateWeight(weight, `${field}[${index}].weight`),
    ...validatePodTerm(podAffinityTerm, `${field}[${index}].podAffinityTerm`),
  ]);
}

function validatePodTerm(term: PodAffinityTerm, field: string): FieldError[] {
  const errors = [
    ...validateLabelSelector(term.labelSelector, `${field}.labelSelector`),
    ...validateLabelSelector(term.namespaceSelector, `${field}.namespaceSelector`),
  ];
  if (!term.topologyKey) errors.push(required(`${field}.topologyKey`, 'can not be empty'));
  for (const problem of qualifiedNameProblems(term.topologyKey ?? '')) {
    errors.push(invalid(`${field}.topologyKey`, term.topologyKey, problem));
  }
  return errors;
}

const inclusionPolicies = ['Honor', 'Ignore'];

export function validateTopologySpread(
  constraints: readonly TopologySpreadConstraint[],
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const choices = ['DoNotSchedule', 'ScheduleAnyway'];
  const pairOf = (one: TopologySpreadConstraint): string =>
    `{${one.topologyKey}, ${one.whenUnsatisfiable}}`;
  for (const [index, constraint] of constraints.entries()) {
    const at = `${field}[${index}]`;
    const { maxSkew, topologyKey, whenUnsatisfiable, minDomains, labelSelector } = constraint;
    if (maxSkew <= 0) errors.push(invalid(`${at}.maxSkew`, maxSkew, 'must be greater than zero'));
    if (!topologyKey) errors.push(required(`${at}.topologyKey`, 'can not be empty'));
    if (!choices.includes(whenUnsatisfiable)) {
      errors.push(notSupported(`${at}.whenUnsatisfiable`, whenUnsatisfiable, choices));
    }
    // The first of two is told so.
    const pair = pairOf(constraint);
    if (constraints.slice(index + 1).some((other) => pairOf(other) === pair)) {
      errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, pair));
    }
    if (minDomains !== undefined && minDomains <= 0) {
      errors.push(invalid(`${at}.minDomains`, minDomains, 'must be greater than zero'));
    }
    if (minDomains !== undefined && whenUnsatisfiable !== 'DoNotSchedule') {
      const detail = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`;
      errors.push(invalid(`${at}.minDomains`, minDomains, detail));
    }
    for (const name of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const) {
      const policy = constraint[name];
      if (policy === undefined || inclusionPolicies.includes(policy)) continue;
      errors.push(notSupported(`${at}.${name}`, policy, inclusionPolicies));
    }
    if (labelSelector === undefined && (constraint.matchLabelKeys ?? []).length > 0) {
      const detail = 'must not be specified when labelSelector is not set';
      errors.push(forbidden(`${at}.matchLabelKeys`, detail));
    }
    errors.push(...validateLabelSelector(labelSelector, `${at}.labelSelector`));
  }
  return errors;
}
