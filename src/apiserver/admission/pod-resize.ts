/**
 * Resizes of pods that run on a node, as the node takes them.
 *
 * PodResizeValidator: none to what the node could never give, were it empty, and none on a node
 * that is not Linux. What others have of the node does not count here: such a resize is taken, and
 * waits on the node. NodeDeclaredFeatureValidator: a pod as a whole, and init containers that end,
 * are resized only on nodes that declare that they can do so. Called by `admission.ts`.
 *
 * Behaviour: KEP-1287, KEP-5419, KEP-5328.
 */
import { type ApiError, forbidden } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { compareQuantities, quantityMilliValue, quantityValue } from '#api/quantity.ts';
import type { Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { requestsOfPod } from '#resources/quota/pod-usage.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { storedObject } from '../registry.ts';
import { groupResourceOf, refusal } from './refusal.ts';

interface Resize {
  readonly resource: Resource;
  readonly hub: KubeObject;
  readonly old: KubeObject;
}

interface Deps {
  readonly store: Store;
  readonly plugins: ReadonlySet<string>;
}

/** Why the pod may not be resized so; undefined when it may. */
export function podResizeProblem(deps: Deps, resize: Resize): ApiError | undefined {
  const { hub, old } = resize;
  // The caller has checked the kind of both.
  const [pod, before] = [hub as Pod, old as Pod];
  const { nodeName = '' } = pod.spec ?? {};
  // What changes nothing asks for nothing.
  if (nodeName === '' || hub.metadata.generation === old.metadata.generation) return undefined;
  const needed = deps.plugins.has('NodeDeclaredFeatureValidator') ? featuresFor(pod, before) : [];
  const isFitted = deps.plugins.has('PodResizeValidator');
  if (needed.length === 0 && !isFitted) return undefined;
  const node = storedObject<Node>(deps.store, `minions/${nodeName}`);
  if (node === undefined) return refusal(resize, `node ${JSON.stringify(nodeName)} not found`);
  const declared = node.status?.declaredFeatures ?? [];
  const missing = needed.filter((feature) => !declared.includes(feature)).join(', ');
  if (missing !== '') {
    const why = `pod update requires features ${missing} which are not available on node`;
    return refusal(resize, `${why} "${nodeName}"`);
  }
  return isFitted ? fitProblem(resize, pod, node) : undefined;
}

/** In order of name. */
function featuresFor({ spec }: Pod, { spec: before }: Pod): readonly string[] {
  const features: string[] = [];
  if (!jsonEqual(spec?.resources, before?.resources)) {
    features.push('InPlacePodLevelResourcesVerticalScaling');
  }
  const changesInit = before?.initContainers?.some(
    ({ restartPolicy, resources }, index) =>
      restartPolicy !== 'Always' && !jsonEqual(resources, spec?.initContainers?.[index]?.resources),
  );
  if (changesInit === true) features.push('InPlacePodVerticalScalingInitContainers');
  return features;
}

function fitProblem(resize: Resize, pod: Pod, node: Node): ApiError | undefined {
  const { name = '', labels } = node.metadata;
  const system = labels?.['kubernetes.io/os'] ?? 'linux';
  if (system !== 'linux') {
    const why = `pod resize is only supported on linux nodes, node "${name}" is "${system}"`;
    return refusedWith(resize, why, 'UnsupportedPlatform');
  }
  const lacking = lackingOf(pod, node);
  if (lacking.length === 0) return undefined;
  const why = `node didn't have enough allocatable resources: ${lacking.join('; ')}`;
  return refusedWith(resize, why, 'NodeCapacity');
}

/** Of processors, in thousandths, and of memory, in bytes. */
function lackingOf(pod: Pod, { status }: Node): readonly string[] {
  const requests = requestsOfPod(pod);
  return ['cpu', 'memory'].flatMap((resource) => {
    const requested = requests[resource] ?? '0';
    const allocatable = status?.allocatable?.[resource] ?? '0';
    if (compareQuantities(requested, allocatable) <= 0) return [];
    const inUnits = resource === 'cpu' ? quantityMilliValue : quantityValue;
    const amounts = `requested: ${inUnits(requested)}, allocatable: ${inUnits(allocatable)}`;
    return [`${resource}, ${amounts}`];
  });
}

function refusedWith({ resource, hub }: Resize, why: string, reason: string): ApiError {
  return forbidden(groupResourceOf(resource), hub.metadata.name ?? '', why, [{ reason }]);
}
