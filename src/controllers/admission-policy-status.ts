/**
 * Says of each ValidatingAdmissionPolicy that its latest form was looked at (`observedGeneration`),
 * with the result of checking types: no warnings.
 */
import { WorkQueue } from '#kit/work-queue.ts';
import { validatingAdmissionPolicies as policyKind } from '#resources/kinds.ts';
import type { ValidatingAdmissionPolicy } from '#resources/types/admissionregistration-v1.ts';
import { ignoreNotFound } from './api-failure.ts';
import type { Controller, ControllerDeps } from './controller.ts';

export function openAdmissionPolicyStatusController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const queue = new WorkQueue(deps);
  const policies = informers.of(policyKind);
  const wake = ({ metadata }: ValidatingAdmissionPolicy): void => queue.add(metadata.name ?? '');
  policies.addHandler({ onAdd: wake, onUpdate: wake });
  return {
    name: 'validatingadmissionpolicy-status-controller',
    queue,
    workers: 1,
    sources: [policies],
    reconcile: async (name, { signal }) => {
      const policy = policies.get(name);
      const { generation } = policy?.metadata ?? {};
      if (policy === undefined || policy.status?.observedGeneration === generation) return;
      const status = { ...policy.status, observedGeneration: generation, typeChecking: {} };
      const options = { subresource: 'status', signal };
      await client.update(policyKind, { ...policy, status }, options).catch(ignoreNotFound);
    },
  };
}
