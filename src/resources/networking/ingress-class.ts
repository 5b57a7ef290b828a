/**
 * IngressClass: names the controller that serves the Ingresses which ask for the class, and where
 * its settings are. `legacy` views of it are those of Ingress.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems, nameProblems, patternText, subdomainProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillIn } from '../fill-in.ts';
import { sameShapeView } from '../legacy-view.ts';
import { textColumn } from '../text-column.ts';
import type { IngressClass, IngressClassParametersReference } from '../types/networking-v1.ts';
import { hubView } from '../view.ts';

const controllerLengthMax = 250;
const scopes = ['Cluster', 'Namespace'];

export function ingressClassResource(): Resource {
  const view = hubView<IngressClass>({
    group: 'networking.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.networking.v1.IngressClass',
    setDefaults: (ingressClass) =>
      changeMember(ingressClass, 'spec', (spec) =>
        changeMember(spec, 'parameters', (parameters) =>
          // One that says nothing is not one that is not there.
          parameters.scope === '' ? parameters : fillIn(parameters, { scope: 'Cluster' }),
        ),
      ),
  });
  return defineResource<IngressClass>({
    kind: 'IngressClass',
    plural: 'ingressclasses',
    singular: 'ingressclass',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'ingressclasses',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    validate: validateIngressClass,
    validateUpdate: (next, old) =>
      next.spec?.controller === old.spec?.controller
        ? []
        : [invalid('spec.controller', next.spec?.controller ?? '', 'field is immutable')],
    columns: [
      nameColumn(),
      textColumn({
        name: 'Controller',
        description: 'Who serves Ingresses of the class.',
        cell: ({ spec }) => spec?.controller ?? '',
      }),
      textColumn({
        name: 'Parameters',
        description: "Where the controller's settings are.",
        cell: ({ spec }) => {
          if (spec?.parameters === undefined) return '<none>';
          const { kind, apiGroup, name } = spec.parameters;
          return `${kind}${apiGroup === undefined ? '' : `.${apiGroup}`}/${name}`;
        },
      }),
      ageColumn(),
    ],
  });
}

function validateIngressClass({ spec = {} }: IngressClass): FieldError[] {
  const { controller = '', parameters } = spec;
  const errors: FieldError[] = [];
  if (controller.length > controllerLengthMax) {
    const detail = `may not be more than ${controllerLengthMax} bytes`;
    errors.push({ type: 'FieldValueTooLong', field: 'spec.controller', detail });
  }
  errors.push(...validateDomainPath(controller, 'spec.controller'));
  if (parameters !== undefined) errors.push(...validateParameters(parameters, 'spec.parameters'));
  return errors;
}

/** `example.com/what`: whose it is, and which of theirs. */
function validateDomainPath(text: string, field: string): FieldError[] {
  if (text === '') return [required(field)];
  const slash = text.indexOf('/');
  const path = text.slice(slash + 1);
  if (slash <= 0 || path === '') {
    const detail = 'must be a domain-prefixed path (such as "acme.io/foo")';
    return [invalid(field, text, detail)];
  }
  const host = text.slice(0, slash);
  const errors = subdomainProblems(host).map((problem) => invalid(field, host, problem));
  const pattern = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
  if (!new RegExp(`^${pattern}$`).test(path)) {
    errors.push(invalid(field, path, patternText('Invalid path', pattern, [])));
  }
  return errors;
}

function validateParameters(
  { apiGroup, kind = '', name = '', scope, namespace }: IngressClassParametersReference,
  field: string,
): FieldError[] {
  const errors = validateReference({ apiGroup, kind, name }, field);
  const at = `${field}.namespace`;
  if (scope === undefined) return [...errors, required(`${field}.scope`)];
  if (!scopes.includes(scope)) return [...errors, notSupported(`${field}.scope`, scope, scopes)];
  if (scope === 'Cluster') {
    if (namespace === undefined) return errors;
    return [...errors, forbidden(at, "`parameters.scope` is set to 'Cluster'")];
  }
  if (namespace === undefined) {
    return [...errors, required(at, "`parameters.scope` is set to 'Namespace'")];
  }
  errors.push(...labelProblems(namespace).map((problem) => invalid(at, namespace, problem)));
  return errors;
}

/** An object named by group, kind and name, as Ingresses and their classes name some. */
export function validateReference(
  {
    apiGroup,
    kind,
    name,
  }: { readonly apiGroup?: string | undefined; readonly kind: string; readonly name: string },
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const problem of apiGroup === undefined ? [] : subdomainProblems(apiGroup)) {
    errors.push(invalid(`${field}.apiGroup`, apiGroup, problem));
  }
  for (const [key, value] of [
    ['kind', kind],
    ['name', name],
  ] as const) {
    if (!value) errors.push(required(`${field}.${key}`));
    else {
      for (const problem of nameProblems(value, 'pathSegment', { generated: false })) {
        errors.push(invalid(`${field}.${key}`, value, problem));
      }
    }
  }
  return errors;
}
