/**
 * RoleBinding and ClusterRoleBinding: who may do what a role says, in one namespace or in all.
 * The role that a binding names cannot change; a new binding takes its place.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { nameProblems, subdomainProblems } from '#api/names.ts';
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { fillIn, mapItems } from '../fill-in.ts';
import { sameShapeView } from '../legacy-view.ts';
import { textColumn } from '../text-column.ts';
import type { ClusterRoleBinding, RoleBinding, Subject } from '../types/rbac-v1.ts';
import { hubView } from '../view.ts';
import { rbacGroup } from './role.ts';

/** The two kinds differ in scope only. */
type Binding = RoleBinding | ClusterRoleBinding;

export function roleBindingResource(): Resource {
  return bindingResource('RoleBinding', { namespaced: true });
}

export function clusterRoleBindingResource(): Resource {
  return bindingResource('ClusterRoleBinding', { namespaced: false });
}

function bindingResource(
  kind: 'RoleBinding' | 'ClusterRoleBinding',
  { namespaced }: { readonly namespaced: boolean },
): Resource {
  const singular = kind.toLowerCase();
  const view = hubView<Binding>({
    group: rbacGroup,
    version: 'v1',
    definition: `io.k8s.api.rbac.v1.${kind}`,
    setDefaults: setBindingDefaults,
  });
  return defineResource<Binding>({
    kind,
    plural: `${singular}s`,
    singular,
    shortNames: [],
    categories: [],
    namespaced,
    storagePrefix: `${singular}s`,
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    specChanged: () => false,
    allowCreateOnUpdate: true,
    nameRule: 'pathSegment',
    validate: (binding) => [
      ...validateRoleRef(binding, namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']),
      ...(binding.subjects ?? []).flatMap((subject, index) =>
        validateSubject(subject, namespaced, `subjects[${index}]`),
      ),
    ],
    validateUpdate: (next, old) =>
      jsonEqual(next.roleRef, old.roleRef)
        ? []
        : [invalid('roleRef', next.roleRef, 'cannot change roleRef')],
    columns: bindingColumns(),
  });
}

function setBindingDefaults(binding: Binding): Binding {
  const roleRef = binding.roleRef && fillIn(binding.roleRef, { apiGroup: rbacGroup });
  const subjects =
    binding.subjects &&
    mapItems(binding.subjects, (subject) =>
      subject.kind === 'User' || subject.kind === 'Group'
        ? fillIn(subject, { apiGroup: rbacGroup })
        : subject,
    );
  if (roleRef === binding.roleRef && subjects === binding.subjects) return binding;
  return { ...binding, roleRef, ...(subjects === undefined ? {} : { subjects }) };
}

function validateRoleRef({ roleRef }: Binding, kinds: readonly string[]): FieldError[] {
  const { apiGroup = '', kind = '', name = '' } = roleRef ?? {};
  const errors: FieldError[] = [];
  if (apiGroup !== rbacGroup) errors.push(notSupported('roleRef.apiGroup', apiGroup, [rbacGroup]));
  if (!kinds.includes(kind)) errors.push(notSupported('roleRef.kind', kind, kinds));
  if (name === '') return [...errors, required('roleRef.name')];
  for (const problem of nameProblems(name, 'pathSegment', { generated: false })) {
    errors.push(invalid('roleRef.name', name, problem));
  }
  return errors;
}

function validateSubject(subject: Subject, namespaced: boolean, field: string): FieldError[] {
  const { kind = '', name = '', apiGroup = '', namespace = '' } = subject;
  const errors: FieldError[] = name === '' ? [required(`${field}.name`)] : [];
  switch (kind) {
    case 'ServiceAccount':
      for (const problem of name === '' ? [] : subdomainProblems(name)) {
        errors.push(invalid(`${field}.name`, name, problem));
      }
      if (apiGroup !== '') errors.push(notSupported(`${field}.apiGroup`, apiGroup, ['']));
      if (!namespaced && namespace === '') errors.push(required(`${field}.namespace`));
      return errors;
    case 'User':
    case 'Group':
      if (apiGroup === rbacGroup) return errors;
      return [...errors, notSupported(`${field}.apiGroup`, apiGroup, [rbacGroup])];
    default: {
      const kinds = ['ServiceAccount', 'User', 'Group'];
      return [...errors, notSupported(`${field}.kind`, kind, kinds)];
    }
  }
}

function bindingColumns(): readonly Column<Binding>[] {
  const subjectsOf = ({ subjects = [] }: Binding, kind: string): readonly Subject[] =>
    subjects.filter((subject) => subject.kind === kind);
  const named = (binding: Binding, kind: string): string =>
    subjectsOf(binding, kind)
      .map(({ name }) => name)
      .join(', ');
  return [
    nameColumn(),
    textColumn({
      name: 'Role',
      description: 'The role that is given.',
      cell: ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`,
    }),
    ageColumn(),
    textColumn({
      name: 'Users',
      description: 'Users that get the role.',
      wide: true,
      cell: (binding) => named(binding, 'User'),
    }),
    textColumn({
      name: 'Groups',
      description: 'Groups that get the role.',
      wide: true,
      cell: (binding) => named(binding, 'Group'),
    }),
    textColumn({
      name: 'ServiceAccounts',
      description: 'Service accounts that get the role, with their namespaces.',
      wide: true,
      cell: (binding) =>
        subjectsOf(binding, 'ServiceAccount')
          .map(({ namespace = '', name }) => `${namespace}/${name}`)
          .join(', '),
    }),
  ];
}
