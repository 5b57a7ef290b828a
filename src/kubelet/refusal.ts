/**
 * Pods that this node must not even begin: what the runtime would silently leave out is refused
 * instead, so that nobody believes in a protection that is not there. Pure.
 *
 * The pod fails at once with the reason, as upstream's kubelet does when it does not admit a pod.
 */
import type { AppArmorProfile, Pod } from '#resources/types/core-v1.ts';
import { containersOf, initContainersOf } from './pod-facts.ts';

export interface Refusal {
  readonly reason: string;
  readonly message: string;
}

export function refusalOf(pod: Pod): Refusal | undefined {
  if (pod.spec?.hostUsers === false) {
    return { reason: 'UserNamespaces', message: 'the node does not support user namespaces' };
  }
  const profiles = [
    pod.spec?.securityContext?.appArmorProfile,
    ...[...initContainersOf(pod), ...containersOf(pod)].map(
      ({ securityContext }) => securityContext?.appArmorProfile,
    ),
  ];
  if (profiles.some(isEnforced)) {
    const message = 'Cannot enforce AppArmor: AppArmor is not enabled on the host';
    return { reason: 'AppArmor', message };
  }
  return undefined;
}

function isEnforced(profile: AppArmorProfile | undefined): boolean {
  return profile !== undefined && profile.type !== 'Unconfined';
}
