/**
 * `--allow-privileged=false`: no pod, and no template of pods, has a privileged container. Upstream
 * says so among the other faults of the object; here it is said once there are no others.
 * Called by `admission.ts`.
 */
import { invalid } from '#api/errors.ts';
import { type FieldError, forbidden } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import type { PodSpec } from '#resources/types/core-v1.ts';
import { groupResourceOf } from './refusal.ts';

const templated = ['spec', 'template', 'spec'] as const;

/** Where the pod's spec is, by the prefix under which a kind is stored. */
const specPaths: Readonly<Record<string, readonly string[]>> = {
  pods: ['spec'],
  podtemplates: ['template', 'spec'],
  controllers: templated,
  replicasets: templated,
  deployments: templated,
  daemonsets: templated,
  statefulsets: templated,
  jobs: templated,
  cronjobs: ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
};

export function checkPrivileged(resource: Resource, hub: KubeObject): void {
  const path = specPaths[resource.storagePrefix];
  if (path === undefined) return;
  let at: unknown = hub;
  // Each step is looked at before the next; the kind has been validated.
  for (const step of path) at = (at as Record<string, unknown> | undefined)?.[step];
  if (at === undefined) return;
  const faults = privilegedFaults(at as PodSpec, path.join('.'));
  const [first] = faults;
  if (first === undefined) return;
  const { group } = groupResourceOf(resource);
  throw invalid({ group, kind: resource.kind }, hub.metadata.name ?? '', faults);
}

function privilegedFaults(spec: PodSpec, path: string): FieldError[] {
  const lists = {
    containers: spec.containers,
    initContainers: spec.initContainers,
    ephemeralContainers: spec.ephemeralContainers,
  };
  return Object.entries(lists).flatMap(([name, containers]) =>
    (containers ?? []).flatMap(({ securityContext }, index) => {
      if (securityContext?.privileged !== true) return [];
      const field = `${path}.${name}[${index}].securityContext.privileged`;
      return [forbidden(field, 'disallowed by cluster policy')];
    }),
  );
}
