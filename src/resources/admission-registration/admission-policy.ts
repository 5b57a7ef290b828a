/**
 * ValidatingAdmissionPolicy and MutatingAdmissionPolicy: rules about requests, written as
 * expressions. Stored and validated as far as their form goes; nothing evaluates them yet. Bindings
 * (`admission-policy-binding.ts`) say where a policy holds.
 */

import { duplicate, type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { label1035Problems, qualifiedNameProblems, subdomainProblems } from '#api/names.ts';
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { type CelType, parseType } from '#cel';
import { ageColumn, nameColumn } from '../columns.ts';
import { validateConditions } from '../condition-validation.ts';
import { changeMember, fillAbsent } from '../fill-in.ts';
import { sameShapeView } from '../legacy-view.ts';
import { statusAlone } from '../status-update.ts';
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
  compileAdmissionExpression,
  expressionErrors,
  type Names,
  reservedWords,
  type Wanted,
} from './admission-expression.ts';
import {
  admissionGroup,
  failurePolicies,
  setMatchDefaults,
  validateNamed,
  validateOptionalChoice,
  validateRules,
  validateSelectors,
} from './match-rules.ts';

const noExpression = 'expression is not specified';
const reinvocationPolicies = ['IfNeeded', 'Never'];
const reasons = ['Forbidden', 'Invalid', 'RequestEntityTooLarge'];
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
              fillAbsent(spec, { failurePolicy: 'Fail' }),
              'matchConstraints',
              setMatchDefaults,
            ),
          ),
      }),
    ],
    hasStatus: true,
    prepareForCreate: (policy) => ({ ...policy, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: statusAlone,
    validate: validateValidating,
    validateStatusUpdate: validateValidatingStatus,
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
        changeMember(
          fillAbsent(spec, { failurePolicy: 'Fail' }),
          'matchConstraints',
          setMatchDefaults,
        ),
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

type NamesOfPolicy = Names & { readonly variables: Map<string, CelType> | undefined };

/** What both sorts have. */
interface PolicySpec {
  readonly failurePolicy?: string | undefined;
  readonly matchConditions?: readonly MatchCondition[] | undefined;
  readonly matchConstraints?: MatchResources | undefined;
  readonly paramKind?: ParamKind | undefined;
  readonly variables?: readonly Variable[] | undefined;
}

/** What expressions of a policy may name; its variables are added as they are defined. */
function namesOf({ paramKind }: PolicySpec, composes: boolean): NamesOfPolicy {
  const params = paramKind !== undefined;
  return { params, authorizer: true, variables: composes ? new Map() : undefined };
}

function validatePolicy(spec: PolicySpec, names: NamesOfPolicy): FieldError[] {
  const { paramKind, matchConstraints, failurePolicy } = spec;
  const errors = failurePolicy
    ? validateOptionalChoice(failurePolicy, failurePolicies, 'spec.failurePolicy')
    : [required('spec.failurePolicy')];
  if (paramKind !== undefined) errors.push(...validateParamKind(paramKind));
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
    ...validateNamed(spec.matchConditions ?? [], 'spec.matchConditions', {
      params: names.params,
      authorizer: true,
    }),
    ...validateVariables(spec.variables ?? [], 'spec.variables', names),
  ];
}

/** Values that expressions call by name. */
function validateVariables(
  variables: readonly Partial<Variable>[],
  field: string,
  names: NamesOfPolicy,
): FieldError[] {
  return variables.flatMap(({ name = '', expression = '' }, index) => {
    const at = `${field}[${index}]`;
    const errors: FieldError[] = [];
    if (name.trim() === '') errors.push(required(`${at}.name`, 'name is not specified'));
    else if (!/^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name) || reservedWords.has(name)) {
      errors.push(invalid(`${at}.name`, name, 'must be a valid CEL identifier'));
    }
    if (expression.trim() === '') errors.push(required(`${at}.expression`, noExpression));
    else {
      const compiled = compileAdmissionExpression(expression, names, []);
      if (!compiled.ok) errors.push(invalid(`${at}.expression`, expression, compiled.problem));
      // One that is wrong is there all the same, and may be anything.
      names.variables?.set(name, compiled.ok ? compiled.type : parseType('dyn'));
    }
    return errors;
  });
}

/** The kind of the parameters: a group and version, and a name in camel case. */
function validateParamKind({ apiVersion = '', kind = '' }: Partial<ParamKind>): FieldError[] {
  const errors: FieldError[] = [];
  const at = 'spec.paramKind.apiVersion';
  const parts = apiVersion.split('/');
  const version = parts.at(-1) ?? '';
  if (apiVersion === '') errors.push(required(at));
  else if (parts.length > 2) {
    errors.push(invalid(at, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
  } else {
    const group = parts.length === 2 ? subdomainProblems(parts[0] ?? '') : [];
    if (group.length > 0) errors.push(invalid(at, parts[0], group.join(',')));
    const problems = label1035Problems(version);
    if (version === '') errors.push(invalid(at, apiVersion, 'version must be specified'));
    else if (problems.length > 0) errors.push(invalid(at, version, problems.join(',')));
  }
  if (kind === '') return [...errors, required('spec.paramKind.kind')];
  const problems = label1035Problems(kind.toLowerCase());
  if (problems.length === 0) return errors;
  const detail = `may have mixed case, but should otherwise match: ${problems.join(',')}`;
  return [...errors, invalid('spec.paramKind.kind', kind, detail)];
}

function validateValidating({ metadata, spec = {} }: ValidatingAdmissionPolicy): FieldError[] {
  const { validations = [], auditAnnotations = [] } = spec;
  const names = namesOf(spec, (spec.variables ?? []).length > 0);
  const errors = validatePolicy(spec, names);
  if (validations.length + auditAnnotations.length === 0) {
    const detail = 'validations or auditAnnotations must contain at least one item';
    errors.push(required('spec.validations', detail), required('spec.auditAnnotations', detail));
  }
  for (const [index, validation] of validations.entries()) {
    const { expression, messageExpression = '', reason } = validation;
    const at = `spec.validations[${index}]`;
    if (expression.trim() === '') errors.push(required(`${at}.expression`, noExpression));
    else {
      const wanted: Wanted = ['bool'];
      errors.push(...expressionErrors(expression, `${at}.expression`, { names, wanted }));
    }
    const said = `${at}.messageExpression`;
    if (messageExpression.trim() !== '') {
      const inMessage = { ...names, authorizer: false };
      const wanted: Wanted = ['string'];
      errors.push(...expressionErrors(messageExpression, said, { names: inMessage, wanted }));
    } else if (messageExpression !== '') {
      errors.push(invalid(said, messageExpression, 'must be non-empty if specified'));
    }
    errors.push(...validateOptionalChoice(reason, reasons, `${at}.reason`));
  }
  const keys = new Set<string>();
  for (const [index, { key, valueExpression }] of auditAnnotations.entries()) {
    const at = `spec.auditAnnotations[${index}]`;
    // The annotation will be called so, which has to fit.
    const full = `${metadata.name ?? ''}/${key}`;
    for (const problem of qualifiedNameProblems(full)) {
      errors.push(invalid(`${at}.key`, full, problem));
    }
    if (keys.has(key)) errors.push(duplicate(`${at}.key`, key));
    keys.add(key);
    if (valueExpression.trim() === '') {
      errors.push(required(`${at}.valueExpression`, 'valueExpression is not specified'));
    } else {
      const wanted: Wanted = ['string', 'null'];
      const shown = valueExpression;
      const value = valueExpression.trim();
      errors.push(...expressionErrors(value, `${at}.valueExpression`, { names, wanted, shown }));
    }
  }
  return errors;
}

/** Conditions, and what the types of expressions were found to lack. */
function validateValidatingStatus({ status }: ValidatingAdmissionPolicy): FieldError[] {
  const errors: FieldError[] = [];
  const warnings = status?.typeChecking?.expressionWarnings ?? [];
  for (const [index, warning] of warnings.entries()) {
    const at = `status.typeChecking.expressionWarnings[${index}]`;
    if (!warning.warning) errors.push(required(`${at}.warning`));
    if (!warning.fieldRef) errors.push(required(`${at}.fieldRef`));
  }
  return [...errors, ...validateConditions(status?.conditions ?? [], 'status.conditions')];
}

function validateMutating({ spec = {} }: MutatingAdmissionPolicy): FieldError[] {
  const { mutations = [], reinvocationPolicy } = spec;
  const errors = validatePolicy(spec, namesOf(spec, true));
  if (!reinvocationPolicy) errors.push(required('spec.reinvocationPolicy'));
  const again = 'spec.reinvocationPolicy';
  errors.push(...validateOptionalChoice(reinvocationPolicy, reinvocationPolicies, again));
  if (mutations.length === 0) {
    errors.push(required('spec.mutations', 'mutations must contain at least one item'));
  }
  for (const [index, { patchType, applyConfiguration, jsonPatch }] of mutations.entries()) {
    const at = `spec.mutations[${index}]`;
    if (!patchType) {
      errors.push(required(`${at}.patchType`));
      continue;
    }
    if (!patchTypes.includes(patchType)) {
      errors.push(notSupported(`${at}.patchType`, patchType, patchTypes));
      continue;
    }
    const applies = patchType === 'ApplyConfiguration';
    const patch = applies ? applyConfiguration : jsonPatch;
    const part = applies ? 'applyConfiguration' : 'jsonPatch';
    if (patch === undefined) {
      const detail = `must be specified when patchType is ${patchType}`;
      errors.push(required(`${at}.${part}`, detail));
    } else if ((patch.expression ?? '').trim() === '') {
      errors.push(required(`${at}.${part}.expression`));
    }
  }
  return errors;
}
