/**
 * Which pods are a pod's siblings, for spreading pods that say nothing of it themselves: those of
 * the Services that select it and of the controller that owns it.
 */
import { controllerOf } from '#api/object.ts';
import { type LabelSelector, mapMatches } from '#api/selectors.ts';
import type { Facts } from './facts.ts';
import type { PodFacts } from './pod-facts.ts';

/** Undefined where nothing selects the pod. */
export function defaultSelector({ pod, namespace, labels }: PodFacts, facts: Facts) {
  const matchLabels: Record<string, string> = {};
  for (const { spec } of facts.services.listNamespace(namespace)) {
    if (spec?.selector === undefined || Object.keys(spec.selector).length === 0) continue;
    if (mapMatches(spec.selector, labels)) Object.assign(matchLabels, spec.selector);
  }
  const owner = controllerOf(pod);
  const matchExpressions: NonNullable<LabelSelector['matchExpressions']>[number][] = [];
  const add = (selector: LabelSelector | undefined): void => {
    Object.assign(matchLabels, selector?.matchLabels);
    matchExpressions.push(...(selector?.matchExpressions ?? []));
  };
  if (owner !== undefined) {
    const key = `${namespace}/${owner.name}`;
    switch (`${owner.apiVersion} ${owner.kind}`) {
      case 'v1 ReplicationController':
        add({ matchLabels: facts.replicationControllers.get(key)?.spec?.selector });
        break;
      case 'apps/v1 ReplicaSet':
        add(facts.replicaSets.get(key)?.spec?.selector);
        break;
      case 'apps/v1 StatefulSet':
        add(facts.statefulSets.get(key)?.spec?.selector);
        break;
    }
  }
  const nobody = Object.keys(matchLabels).length + matchExpressions.length === 0;
  return nobody ? undefined : ({ matchLabels, matchExpressions } satisfies LabelSelector);
}
