/**
 * Role and ClusterRole: what may be done. A Role speaks for its namespace; a ClusterRole for the
 * whole cluster, for paths that are no objects, and for others that it gathers by their labels.
 * Bindings (`role-binding.ts`) say who may.
 */
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { nameColumn } from '../columns.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import { sameShapeView } from '../legacy-view.ts';
import { createdAtColumn } from '../text-column.ts';
import type { ClusterRole, PolicyRule, Role } from '../types/rbac-v1.ts';
import { hubView } from '../view.ts';

export const rbacGroup = 'rbac.authorization.k8s.io';

export function roleResource(): Resource {
  const view = hubView<Role>({
    group: rbacGroup,
    version: 'v1',
    definition: 'io.k8s.api.rbac.v1.Role',
  });
  return defineResource<Role>({
    kind: 'Role',
    plural: 'roles',
    singular: 'role',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'roles',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    specChanged: () => false,
    allowCreateOnUpdate: true,
    nameRule: 'pathSegment',
    validate: ({ rules }) => validateRules(rules ?? [], { namespaced: true }),
    columns: [nameColumn(), createdAtColumn()],
  });
}

export function clusterRoleResource(): Resource {
  const view = hubView<ClusterRole>({
    group: rbacGroup,
    version: 'v1',
    definition: 'io.k8s.api.rbac.v1.ClusterRole',
  });
  return defineResource<ClusterRole>({
    kind: 'ClusterRole',
    plural: 'clusterroles',
    singular: 'clusterrole',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'clusterroles',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    specChanged: () => false,
    allowCreateOnUpdate: true,
    nameRule: 'pathSegment',
    validate: (role) => [
      ...validateRules(role.rules ?? [], { namespaced: false }),
      ...validateAggregation(role),
    ],
    columns: [nameColumn(), createdAtColumn()],
  });
}

function validateRules(
  rules: readonly PolicyRule[],
  { namespaced }: { readonly namespaced: boolean },
): FieldError[] {
  return rules.flatMap((rule, index) => validateRule(rule, namespaced, `rules[${index}]`));
}

function validateRule(rule: PolicyRule, namespaced: boolean, field: string): FieldError[] {
  const { verbs, nonResourceURLs = [], apiGroups = [], resources = [], resourceNames = [] } = rule;
  const errors: FieldError[] = [];
  if ((verbs ?? []).length === 0) {
    errors.push(required(`${field}.verbs`, 'verbs must contain at least one value'));
  }
  if (nonResourceURLs.length > 0) {
    const at = `${field}.nonResourceURLs`;
    if (namespaced) {
      const detail = 'namespaced rules cannot apply to non-resource URLs';
      errors.push(invalid(at, nonResourceURLs, detail));
    }
    if (apiGroups.length + resources.length + resourceNames.length > 0) {
      const detail = 'rules cannot apply to both regular resources and non-resource URLs';
      errors.push(invalid(at, nonResourceURLs, detail));
    }
    return errors;
  }
  if (apiGroups.length === 0) {
    const detail = 'resource rules must supply at least one api group';
    errors.push(required(`${field}.apiGroups`, detail));
  }
  if (resources.length === 0) {
    const detail = 'resource rules must supply at least one resource';
    errors.push(required(`${field}.resources`, detail));
  }
  return errors;
}

function validateAggregation({ aggregationRule }: ClusterRole): FieldError[] {
  if (aggregationRule === undefined) return [];
  const field = 'aggregationRule.clusterRoleSelectors';
  const selectors = aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0) {
    const detail = 'at least one clusterRoleSelector required if aggregationRule is non-nil';
    return [required(field, detail)];
  }
  return selectors.flatMap((selector, index) =>
    validateLabelSelector(selector, `${field}[${index}]`),
  );
}
