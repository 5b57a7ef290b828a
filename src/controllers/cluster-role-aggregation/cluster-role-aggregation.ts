/**
 * ClusterRoles with an `aggregationRule` get the rules of all ClusterRoles that it selects, each
 * rule once, in the order of the roles' names. Behaviour: kubernetes.io, "Aggregated ClusterRoles".
 */
import { labelSelectorMatches } from '#api/selectors.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { clusterRoles as roleKind } from '#resources/kinds.ts';
import type { ClusterRole, PolicyRule } from '#resources/types/rbac-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { isSameValue } from '../same-value.ts';

/** The rules that the role should have; undefined where it has them, or says them itself. */
function planAggregation(
  role: ClusterRole,
  all: Iterable<ClusterRole>,
): readonly PolicyRule[] | undefined {
  const selectors = role.aggregationRule?.clusterRoleSelectors;
  if (role.aggregationRule === undefined) return undefined;
  const chosen = [...all].filter(
    ({ metadata }) =>
      metadata.name !== role.metadata.name &&
      selectors?.some((selector) => labelSelectorMatches(selector, metadata.labels)),
  );
  const rules: PolicyRule[] = [];
  const byName = (a: ClusterRole, b: ClusterRole): number =>
    (a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1;
  for (const rule of chosen.toSorted(byName).flatMap((one) => one.rules ?? [])) {
    if (!rules.some((known) => isSameValue(known, rule))) rules.push(rule);
  }
  return isSameValue(rules, role.rules) ? undefined : rules;
}

export function openClusterRoleAggregationController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const queue = new WorkQueue(deps);
  const roles = informers.of(roleKind);
  const wake = (): void => {
    for (const { metadata, aggregationRule } of roles.list()) {
      if (aggregationRule !== undefined) queue.add(metadata.name ?? '');
    }
  };
  roles.addHandler({
    onAdd: (role) => {
      if (roles.hasSynced) wake();
      else if (role.aggregationRule !== undefined) queue.add(role.metadata.name ?? '');
    },
    onUpdate: wake,
    onDelete: wake,
  });
  return {
    name: 'clusterrole-aggregation-controller',
    queue,
    workers: 1,
    sources: [roles],
    reconcile: async (name, { signal }) => {
      const role = roles.get(name);
      const rules = role === undefined ? undefined : planAggregation(role, roles.list());
      if (role === undefined || rules === undefined) return;
      await client.update(roleKind, { ...role, rules }, { signal }).catch(ignoreNotFound);
    },
  };
}
