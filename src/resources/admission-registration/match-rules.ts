/**
 * What webhooks and policies have in common: which requests they are about (rules and selectors),
 * with the defaults and the validation of both.
 */

import { duplicate, type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import type { LabelSelector } from '#api/selectors.ts';
import { changeMember, fillAbsent, mapItems } from '../fill-in.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import type { MatchResources, RuleWithOperations } from '../types/admissionregistration-v1.ts';
import { expressionErrors, type Names } from './admission-expression.ts';

const operations = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];
const scopes = ['*', 'Cluster', 'Namespaced'];
const matchPolicies = ['Equivalent', 'Exact'];
export const failurePolicies = ['Fail', 'Ignore'];

export const admissionGroup = 'admissionregistration.k8s.io';

export function setRuleDefaults<R extends RuleWithOperations>(rules: readonly R[]): readonly R[] {
  const scope: Partial<RuleWithOperations> = { scope: '*' };
  // A rule has a scope, whatever else it has.
  return mapItems(rules, (rule) => fillAbsent(rule, scope as Partial<R>));
}

export function setMatchDefaults(match: MatchResources): MatchResources {
  const all: LabelSelector = {};
  const filled = fillAbsent(match, {
    matchPolicy: 'Equivalent',
    namespaceSelector: all,
    objectSelector: all,
  });
  return changeMember(
    changeMember(filled, 'resourceRules', setRuleDefaults),
    'excludeResourceRules',
    setRuleDefaults,
  );
}

/** A value that may be absent, and else is one of a few. */
export function validateOptionalChoice(
  value: string | undefined,
  choices: readonly string[],
  field: string,
): FieldError[] {
  return value === undefined || choices.includes(value)
    ? []
    : [notSupported(field, value, choices)];
}

export function validateSelectors(
  { matchPolicy, namespaceSelector, objectSelector }: MatchResources,
  field: string,
): FieldError[] {
  return [
    ...validateOptionalChoice(matchPolicy, matchPolicies, `${field}.matchPolicy`),
    ...validateLabelSelector(namespaceSelector, `${field}.namespaceSelector`),
    ...validateLabelSelector(objectSelector, `${field}.objectSelector`),
  ];
}

export function validateRules(
  rules: readonly RuleWithOperations[] | undefined,
  field: string,
): FieldError[] {
  return (rules ?? []).flatMap((rule, index) => validateRule(rule, `${field}[${index}]`));
}

function validateRule(rule: RuleWithOperations, field: string): FieldError[] {
  const { operations: given = [] } = rule;
  const errors = [
    ...validateList(given, 'operations', `${field}.operations`),
    ...given.flatMap((operation, index) =>
      operations.includes(operation)
        ? []
        : [notSupported(`${field}.operations[${index}]`, operation, operations)],
    ),
    ...validateList(rule.apiGroups ?? [], 'API groups', `${field}.apiGroups`),
    ...validateList(rule.apiVersions ?? [], 'API versions', `${field}.apiVersions`),
  ];
  for (const [index, version] of (rule.apiVersions ?? []).entries()) {
    if (version === '') errors.push(required(`${field}.apiVersions[${index}]`));
  }
  if ((rule.resources ?? []).length === 0) errors.push(required(`${field}.resources`));
  for (const [index, resource] of (rule.resources ?? []).entries()) {
    if (resource === '') errors.push(required(`${field}.resources[${index}]`));
  }
  return [...errors, ...validateOptionalChoice(rule.scope, scopes, `${field}.scope`)];
}

/** Something, or everything; not both. */
function validateList(values: readonly string[], what: string, field: string): FieldError[] {
  if (values.length === 0) return [required(field)];
  if (!values.includes('*') || values.length === 1) return [];
  return [invalid(field, values, `if '*' is present, must not specify other ${what}`)];
}

/** Expressions with names, which differ. */
export function validateNamed(
  list: readonly { readonly name?: string; readonly expression?: string }[],
  field: string,
  names: Names,
): FieldError[] {
  const taken = new Set<string>();
  return list.flatMap(({ name = '', expression = '' }, index) => {
    const at = `${field}[${index}]`;
    const errors: FieldError[] = [];
    if (name === '') errors.push(required(`${at}.name`));
    for (const problem of name === '' ? [] : qualifiedNameProblems(name)) {
      errors.push(invalid(`${at}.name`, name, problem));
    }
    if (taken.has(name)) errors.push(duplicate(`${at}.name`, name));
    taken.add(name);
    const condition = expression.trim();
    if (condition === '') errors.push(required(`${at}.expression`));
    else {
      errors.push(...expressionErrors(condition, `${at}.expression`, { names, wanted: ['bool'] }));
    }
    return errors;
  });
}
