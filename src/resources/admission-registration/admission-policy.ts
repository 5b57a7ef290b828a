/**
 * ValidatingAdmissionPolicy and MutatingAdmissionPolicy: rules about requests, written as
 * expressions. Stored and validated as far as their form goes; nothing evaluates them yet. Bindings
 * (`admission-policy-binding.ts`) say where a policy holds.
 */
import { duplicate, type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillIn } from '../fill-in.ts';
import { sameShapeView } from '../legacy-view.ts';
import { textColumn } from '../text-column.ts';
import type {
  MatchCondition,
  MatchResources,
  MutatingAdmissionPolicy,
  ParamKind,
  ValidatingAdmissionPolicy,
  Variable,
} from '../types/admissionregistration-v1.ts';
import { hubView } from '../view.ts';
import {
  admissionGroup,
  failurePolicies,
  setMatchDefaults,
  validateOptionalChoice,
  validateRules,
  validateSelectors,
} from './match-rules.ts';

const noExpression = 'expression is not specified';
const reinvocationPolicies = ['IfNeeded', 'Never'];
const patchTypes = ['ApplyConfiguration', 'JSONPatch'];

export function validatingAdmissionPolicyResource(): Resource {
  return defineResource<ValidatingAdmissionPolicy>({
    kind: 'ValidatingAdmissionPolicy',
    plural: 'validatingadmissionpolicies',
    singular: 'validatingadmissionpolicy',
    shortNames: [],
    categories: ['api-extensions'],
    namespaced: false,
    storagePrefix: 'validatingadmissionpolicies',
    allowUnconditionalUpdate: false,
    metadataRechecked: 'whole',
    views: [
      hubView<ValidatingAdmissionPolicy>({
        group: admissionGroup,
        version: 'v1',
        definition: 'io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy',
        setDefaults: (policy) =>
          changeMember(policy, 'spec', (spec) =>
            changeMember(
              fillIn(spec, { failurePolicy: 'Fail' }),
              'matchConstraints',
              setMatchDefaults,
            ),
          ),
      }),
    ],
    hasStatus: true,
    prepareForCreate: (policy) => ({ ...policy, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateValidating,
    columns: [
      nameColumn(),
      {
        name: 'Validations',
        type: 'integer',
        description: 'Number of rules.',
        priority: 0,
        cell: ({ spec }) => (spec?.validations ?? []).length,
      },
      paramKindColumn<ValidatingAdmissionPolicy>(({ spec }) => spec?.paramKind),
      ageColumn(),
    ],
  });
}

export function mutatingAdmissionPolicyResource(): Resource {
  const view = hubView<MutatingAdmissionPolicy>({
    group: admissionGroup,
    version: 'v1',
    definition: 'io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy',
    setDefaults: (policy) =>
      changeMember(policy, 'spec', (spec) =>
        changeMember(fillIn(spec, { failurePolicy: 'Fail' }), 'matchConstraints', setMatchDefaults),
      ),
  });
  return defineResource<MutatingAdmissionPolicy>({
    kind: 'MutatingAdmissionPolicy',
    plural: 'mutatingadmissionpolicies',
    singular: 'mutatingadmissionpolicy',
    shortNames: [],
    categories: ['api-extensions'],
    namespaced: false,
    storagePrefix: 'mutatingadmissionpolicies',
    allowUnconditionalUpdate: false,
    metadataRechecked: 'whole',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    validate: validateMutating,
    columns: [
      nameColumn(),
      {
        name: 'Mutations',
        type: 'integer',
        description: 'Number of changes.',
        priority: 0,
        cell: ({ spec }) => (spec?.mutations ?? []).length,
      },
      paramKindColumn<MutatingAdmissionPolicy>(({ spec }) => spec?.paramKind),
      ageColumn(),
    ],
  });
}

function paramKindColumn<P extends ValidatingAdmissionPolicy | MutatingAdmissionPolicy>(
  paramKind: (policy: P) => ParamKind | undefined,
): Column<P> {
  return textColumn({
    name: 'ParamKind',
    description: 'Kind of the parameters.',
    cell: (policy) => {
      const { apiVersion = '', kind = '' } = paramKind(policy) ?? {};
      return paramKind(policy) === undefined ? '<unset>' : `${apiVersion}/${kind}`;
    },
  });
}

/** What both sorts have. */
interface PolicySpec {
  readonly failurePolicy?: string | undefined;
  readonly matchConditions?: readonly MatchCondition[] | undefined;
  readonly matchConstraints?: MatchResources | undefined;
  readonly paramKind?: ParamKind | undefined;
  readonly variables?: readonly Variable[] | undefined;
}

function validatePolicy(spec: PolicySpec): FieldError[] {
  const { paramKind, matchConstraints, failurePolicy } = spec;
  const errors = failurePolicy
    ? validateOptionalChoice(failurePolicy, failurePolicies, 'spec.failurePolicy')
    : [required('spec.failurePolicy')];
  for (const key of ['apiVersion', 'kind'] as const) {
    if (paramKind !== undefined && !paramKind[key]) {
      errors.push(required(`spec.paramKind.${key}`));
    }
  }
  if (matchConstraints === undefined) errors.push(required('spec.matchConstraints'));
  else {
    const at = 'spec.matchConstraints';
    if ((matchConstraints.resourceRules ?? []).length === 0) {
      errors.push(required(`${at}.resourceRules`));
    }
    errors.push(
      ...validateSelectors(matchConstraints, at),
      ...validateRules(matchConstraints.resourceRules, `${at}.resourceRules`),
      ...validateRules(matchConstraints.excludeResourceRules, `${at}.excludeResourceRules`),
    );
  }
  return [
    ...errors,
    ...validateNamed(spec.matchConditions ?? [], 'spec.matchConditions'),
    ...validateNamed(spec.variables ?? [], 'spec.variables'),
  ];
}

/** Expressions with names, which differ. */
function validateNamed(
  list: readonly { readonly name: string; readonly expression: string }[],
  field: string,
): FieldError[] {
  const names = new Set<string>();
  return list.flatMap(({ name, expression }, index) => {
    const at = `${field}[${index}]`;
    const errors: FieldError[] = [];
    if (name === '') errors.push(required(`${at}.name`));
    for (const problem of name === '' ? [] : qualifiedNameProblems(name)) {
      errors.push(invalid(`${at}.name`, name, problem));
    }
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    if (expression.trim() === '') errors.push(required(`${at}.expression`));
    return errors;
  });
}

function validateValidating({ spec = {} }: ValidatingAdmissionPolicy): FieldError[] {
  const { validations = [], auditAnnotations = [] } = spec;
  const errors = validatePolicy(spec);
  if (validations.length + auditAnnotations.length === 0) {
    const detail = 'validations or auditAnnotations must contain at least one item';
    errors.push(required('spec.validations', detail), required('spec.auditAnnotations', detail));
  }
  for (const [index, { expression }] of validations.entries()) {
    if (expression.trim() !== '') continue;
    errors.push(required(`spec.validations[${index}].expression`, noExpression));
  }
  for (const [index, { key, valueExpression }] of auditAnnotations.entries()) {
    const at = `spec.auditAnnotations[${index}]`;
    for (const problem of qualifiedNameProblems(key)) {
      errors.push(invalid(`${at}.key`, key, problem));
    }
    if (valueExpression.trim() === '') {
      errors.push(required(`${at}.valueExpression`, 'valueExpression is not specified'));
    }
  }
  return errors;
}

function validateMutating({ spec = {} }: MutatingAdmissionPolicy): FieldError[] {
  const { mutations = [], reinvocationPolicy } = spec;
  const errors = validatePolicy(spec);
  if (!reinvocationPolicy) errors.push(required('spec.reinvocationPolicy'));
  const again = 'spec.reinvocationPolicy';
  errors.push(...validateOptionalChoice(reinvocationPolicy, reinvocationPolicies, again));
  if (mutations.length === 0) {
    errors.push(required('spec.mutations', 'mutations must contain at least one item'));
  }
  for (const [index, { patchType, applyConfiguration, jsonPatch }] of mutations.entries()) {
    const at = `spec.mutations[${index}]`;
    if (!patchTypes.includes(patchType)) {
      errors.push(notSupported(`${at}.patchType`, patchType, patchTypes));
      continue;
    }
    const applies = patchType === 'ApplyConfiguration';
    const { expression = '' } = (applies ? applyConfiguration : jsonPatch) ?? {};
    const part = applies ? 'applyConfiguration' : 'jsonPatch';
    if (expression.trim() === '') {
      errors.push(required(`${at}.${part}.expression`, noExpression));
    }
  }
  return errors;
}
