/**
 * ValidatingAdmissionPolicyBinding and MutatingAdmissionPolicyBinding: where a policy holds, with
 * which parameters, and (for validation) what a violation leads to.
 */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { nameProblems, subdomainProblems } from '#api/names.ts';
import type { KubeObject } from '#api/object.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember } from '../fill-in.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import { sameShapeView } from '../legacy-view.ts';
import { textColumn } from '../text-column.ts';
import type {
  MutatingAdmissionPolicyBindingSpec,
  ParamRef,
} from '../types/admissionregistration-v1.ts';
import { hubView } from '../view.ts';
import {
  admissionGroup,
  setMatchDefaults,
  validateRules,
  validateSelectors,
} from './match-rules.ts';

/** A binding of either sort; only those of validation have actions. */
interface Binding extends KubeObject {
  readonly spec?:
    | (MutatingAdmissionPolicyBindingSpec & {
        readonly validationActions?: readonly string[] | undefined;
      })
    | undefined;
}

const actions = ['Audit', 'Deny', 'Warn'];
const notFoundActions = ['Deny', 'Allow'];

export function validatingAdmissionPolicyBindingResource(): Resource {
  return bindingResource('ValidatingAdmissionPolicyBinding', { beta: false });
}

export function mutatingAdmissionPolicyBindingResource(): Resource {
  return bindingResource('MutatingAdmissionPolicyBinding', { beta: true });
}

function bindingResource(kind: string, { beta }: { readonly beta: boolean }): Resource {
  const singular = kind.toLowerCase();
  const view = hubView<Binding>({
    group: admissionGroup,
    version: 'v1',
    definition: `io.k8s.api.admissionregistration.v1.${kind}`,
    setDefaults: (binding) =>
      changeMember(binding, 'spec', (spec) =>
        changeMember(spec, 'matchResources', setMatchDefaults),
      ),
  });
  const validates = kind.startsWith('Validating');
  return defineResource<Binding>({
    kind,
    plural: `${singular}s`,
    singular,
    shortNames: [],
    categories: ['api-extensions'],
    namespaced: false,
    storagePrefix: `${singular}s`,
    allowUnconditionalUpdate: false,
    metadataRechecked: 'whole',
    views: beta ? [view, sameShapeView(view, { version: 'v1beta1' })] : [view],
    hasStatus: false,
    validate: (binding) => [
      ...validateBinding(binding),
      ...(validates ? validateActions(binding.spec?.validationActions ?? []) : []),
    ],
    columns: [
      nameColumn(),
      textColumn({
        name: 'PolicyName',
        description: 'The policy that holds.',
        cell: ({ spec }) => spec?.policyName ?? '',
      }),
      textColumn({
        name: 'ParamRef',
        description: 'Its parameters.',
        cell: ({ spec }) => {
          if (spec?.paramRef === undefined) return '<unset>';
          const { namespace = '', name = '' } = spec.paramRef;
          return namespace === '' ? name : `${namespace}/${name}`;
        },
      }),
      ageColumn(),
    ],
  });
}

function validateBinding({ spec = {} }: Binding): FieldError[] {
  const { policyName = '', paramRef, matchResources } = spec;
  const errors: FieldError[] = policyName === '' ? [required('spec.policyName')] : [];
  for (const problem of policyName === '' ? [] : subdomainProblems(policyName)) {
    errors.push(invalid('spec.policyName', policyName, problem));
  }
  if (paramRef !== undefined) errors.push(...validateParamRef(paramRef, 'spec.paramRef'));
  if (matchResources === undefined) return errors;
  const at = 'spec.matchResources';
  return [
    ...errors,
    ...validateSelectors(matchResources, at),
    ...validateRules(matchResources.resourceRules, `${at}.resourceRules`),
    ...validateRules(matchResources.excludeResourceRules, `${at}.excludeResourceRules`),
  ];
}

function validateParamRef(paramRef: ParamRef, field: string): FieldError[] {
  const { name = '', selector, parameterNotFoundAction: action } = paramRef;
  const errors: FieldError[] = [];
  const detail = 'name and selector are mutually exclusive';
  if (name !== '') {
    for (const problem of nameProblems(name, 'pathSegment', { generated: false })) {
      errors.push(invalid(`${field}.name`, name, problem));
    }
    if (selector !== undefined) {
      errors.push(forbidden(`${field}.name`, detail), forbidden(`${field}.selector`, detail));
    }
  } else if (selector === undefined) {
    errors.push(required(field, 'one of name or selector must be specified'));
  }
  errors.push(...validateLabelSelector(selector, `${field}.selector`));
  const at = `${field}.parameterNotFoundAction`;
  if (!action) errors.push(required(at));
  else if (!notFoundActions.includes(action)) {
    errors.push(notSupported(at, action, notFoundActions));
  }
  return errors;
}

function validateActions(given: readonly string[]): FieldError[] {
  const field = 'spec.validationActions';
  if (given.length === 0) return [required(field, 'at least one validation action is required')];
  const errors = given.flatMap((action, index) => {
    const at = `${field}[${index}]`;
    if (!actions.includes(action)) return [notSupported(at, action, actions)];
    return given.indexOf(action) < index ? [duplicate(at, action)] : [];
  });
  if (given.includes('Deny') && given.includes('Warn')) {
    const detail =
      'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)';
    errors.push(invalid(field, given, detail));
  }
  return errors;
}
