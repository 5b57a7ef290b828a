/**
 * Admission plugins that are off unless `--enable-admission-plugins` names them: small rules about
 * pods, Services and owners, with upstream's words. Those that change a pod are asked before it is
 * validated, the others after. Called by `admission.ts`.
 */
import { type KubeObject, type OwnerReference, parseGroupVersion } from '#api/object.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Identity } from '#kit/transport.ts';
import type { Container, Pod, Service, Toleration } from '#resources/types/core-v1.ts';
import { decide } from '../auth/authorizer.ts';
import type { Parts } from '../parts.ts';
import { storedObject } from '../registry.ts';
import { groupResourceOf, type Judged, refusal } from './refusal.ts';

/** A write that is looked at: `old` is absent when something is created. */
export interface OptionalCheck extends Judged {
  readonly namespace: string;
  readonly identity: Identity;
  readonly subresource: string;
  readonly old?: KubeObject | undefined;
}

/** A new pod as the plugins that are on want it. */
export function changePod(parts: Parts, check: OptionalCheck): KubeObject {
  const { plugins } = parts;
  // The caller has checked the kind.
  let pod = check.hub as Pod;
  if (plugins.has('AlwaysPullImages')) pod = pullingAlways(pod);
  if (plugins.has('PodNodeSelector')) pod = selectingNodes(parts, check, pod);
  if (plugins.has('ExtendedResourceToleration')) pod = toleratingResources(pod);
  return pod;
}

/** A pod that is changed pulls always, where its images are new. */
export function changePodAgain({ plugins }: Parts, hub: KubeObject, old: KubeObject): KubeObject {
  if (!plugins.has('AlwaysPullImages')) return hub;
  // The caller has checked the kind of both.
  const [pod, before] = [hub as Pod, old as Pod];
  const known = new Set(containersOf(before).map(({ image }) => image));
  if (containersOf(pod).every(({ image }) => known.has(image))) return hub;
  return pullingAlways(pod);
}

/** Says no where a plugin that is on does. */
export function confirm(parts: Parts, check: OptionalCheck): void {
  const { plugins } = parts;
  const { storagePrefix } = check.resource;
  const isWhole = check.subresource === '';
  if (plugins.has('LimitPodHardAntiAffinityTopology') && storagePrefix === 'pods' && isWhole) {
    throwIf(check, antiAffinityProblem(check));
  }
  if (plugins.has('OwnerReferencesPermissionEnforcement')) {
    throwIf(check, ownersProblem(parts, check));
  }
  if (plugins.has('DenyServiceExternalIPs') && storagePrefix === 'services/specs' && isWhole) {
    throwIf(check, externalIPsProblem(check));
  }
}

function throwIf(check: OptionalCheck, problem: string | undefined): void {
  if (problem !== undefined) throw refusal(check, problem);
}

function containersOf({ spec }: Pod): readonly Container[] {
  // Ephemeral ones have all that is looked at here.
  const ephemeral = (spec?.ephemeralContainers ?? []) as readonly Container[];
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...ephemeral];
}

function pullingAlways(pod: Pod): Pod {
  const { spec } = pod;
  if (spec === undefined) return pod;
  const always = <Each extends object>(given: readonly Each[] | undefined) =>
    given?.map((each) => ({ ...each, imagePullPolicy: 'Always' }));
  const { initContainers, ephemeralContainers, volumes } = spec;
  return {
    ...pod,
    spec: {
      ...spec,
      containers: always(spec.containers) ?? [],
      ...(initContainers === undefined ? {} : { initContainers: always(initContainers) ?? [] }),
      ...(ephemeralContainers === undefined
        ? {}
        : { ephemeralContainers: always(ephemeralContainers) ?? [] }),
      ...(volumes === undefined
        ? {}
        : {
            volumes: volumes.map((volume) =>
              volume.image === undefined
                ? volume
                : { ...volume, image: { ...volume.image, pullPolicy: 'Always' } },
            ),
          }),
    },
  };
}

const selectorAnnotation = 'scheduler.alpha.kubernetes.io/node-selector';

/** The node selector that the namespace's annotation asks of every pod in it. */
function selectingNodes({ store }: Parts, check: OptionalCheck, pod: Pod): Pod {
  const found = storedObject(store, `namespaces/${check.namespace}`);
  const text = found?.metadata.annotations?.[selectorAnnotation];
  if (text === undefined || pod.spec === undefined) return pod;
  const wanted: Record<string, string> = {};
  for (const part of text.split(',').filter((each) => each !== '')) {
    const [key = '', value, ...more] = part.split('=');
    if (value === undefined || more.length > 0) {
      throw refusal(check, `invalid selector: [${part}]`);
    }
    wanted[key.trim()] = value.trim();
  }
  const own = pod.spec.nodeSelector ?? {};
  if (Object.entries(wanted).some(([key, value]) => (own[key] ?? value) !== value)) {
    const why = 'pod node label selector conflicts with its namespace node label selector';
    throw refusal(check, why);
  }
  return { ...pod, spec: { ...pod.spec, nodeSelector: { ...wanted, ...own } } };
}

/** Nodes with devices are tainted with the name of the device. */
function toleratingResources(pod: Pod): Pod {
  const { spec } = pod;
  if (spec === undefined) return pod;
  const asked = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].flatMap(
    ({ resources }) => Object.keys(resources?.requests ?? {}),
  );
  const names = [...new Set(asked.filter(isExtended))].sort();
  const tolerations = [...(spec.tolerations ?? [])];
  for (const key of names) {
    const toleration: Toleration = { key, operator: 'Exists', effect: 'NoSchedule' };
    const at = tolerations.findIndex(
      (each) => each.key === key && each.operator === 'Exists' && each.effect === 'NoSchedule',
    );
    if (at < 0) tolerations.push(toleration);
    else tolerations[at] = toleration;
  }
  return names.length === 0 ? pod : { ...pod, spec: { ...spec, tolerations } };
}

function isExtended(name: string): boolean {
  return /^[^/]+\//.test(name) && !/^(.*\.)?kubernetes\.io\//.test(name);
}

function antiAffinityProblem({ hub }: OptionalCheck): string | undefined {
  // The caller has checked the kind.
  const { spec } = hub as Pod;
  const terms = spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const other = terms?.find(({ topologyKey }) => topologyKey !== 'kubernetes.io/hostname');
  if (other === undefined) return undefined;
  return (
    `affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ${other.topologyKey} ` +
    'but only key kubernetes.io/hostname is allowed'
  );
}

function externalIPsProblem({ hub, old }: OptionalCheck): string | undefined {
  // The caller has checked the kind of both.
  const ips = (hub as Service).spec?.externalIPs ?? [];
  const known = (old as Service | undefined)?.spec?.externalIPs ?? [];
  if (ips.every((ip) => known.includes(ip))) return undefined;
  return 'Use of external IPs is denied by admission control';
}

/** Who sets owners must be able to delete; who holds up their deletion, to finish it. */
function ownersProblem(parts: Parts, check: OptionalCheck): string | undefined {
  const { resource, hub, old, identity, namespace, subresource } = check;
  // The status of a pod is the kubelet's, which cannot change owners.
  if (resource.storagePrefix === 'pods' && subresource === 'status') return undefined;
  const before = old?.metadata.ownerReferences ?? [];
  const now = hub.metadata.ownerReferences ?? [];
  if (jsonEqual(before, now)) return undefined;
  const { group, resource: plural } = groupResourceOf(resource);
  const ask = (verb: string, at: { group: string; resource: string; name: string; in: string }) =>
    decide(parts, identity, {
      ...{ type: 'resource', verb, group: at.group, resource: at.resource, name: at.name },
      subresource: verb === 'update' ? 'finalizers' : subresource,
      namespace: at.in,
    });
  if (old !== undefined) {
    const name = old.metadata.name ?? '';
    const verdict = ask('delete', { group, resource: plural, name, in: namespace });
    if (!verdict.allowed) {
      return `cannot set an ownerRef on a resource you can't delete: ${verdict.reason}, <nil>`;
    }
  }
  const blocking = newBlockers(now, before);
  const anything = { group: '*', resource: '*', name: '*', in: '' };
  if (blocking.length === 0 || ask('update', anything).allowed) return undefined;
  for (const { apiVersion, kind, name } of blocking) {
    const found = parts.catalog.findKind(parseGroupVersion(apiVersion), kind);
    if (found === undefined) {
      return (
        'cannot set blockOwnerDeletion in this case because cannot find RESTMapping for ' +
        `APIVersion ${apiVersion} Kind ${kind}: no matches for kind "${kind}" in version ` +
        `"${apiVersion}"`
      );
    }
    const of = { group: found.view.group, resource: found.resource.plural, name };
    const verdict = ask('update', { ...of, in: found.resource.namespaced ? namespace : '' });
    if (verdict.allowed) continue;
    return (
      "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set " +
      `finalizers on: ${verdict.reason}, <nil>`
    );
  }
  return undefined;
}

function newBlockers(
  now: readonly OwnerReference[],
  before: readonly OwnerReference[],
): readonly OwnerReference[] {
  return now.filter(
    ({ uid, blockOwnerDeletion }) =>
      blockOwnerDeletion === true &&
      before.find((each) => each.uid === uid)?.blockOwnerDeletion !== true,
  );
}
