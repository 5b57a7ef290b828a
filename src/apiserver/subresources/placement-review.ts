/**
 * PlacementReview: why does this pod wait? Answered from the scheduler's own rules and never
 * stored; `POST /apis/scheduling.coracle.dev/v1/namespaces/NS/placementreviews` with the pod's name
 * in `spec.pod`. `coracle why` shows the answer.
 *
 * The picture of the cluster is made for each review from what is stored, a part at a time, so that
 * other requests get their turn. The default rules are asked; a scheduler that is configured
 * differently may see it differently. Loaded with the first review.
 */

import { badRequest, notFound } from '#api/errors.ts';
import { type KubeObject, objectKey } from '#api/object.ts';
import { mayBeBacked } from '#resources/resource/extended-device-class.ts';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import {
  Cluster,
  defaultProfile,
  explain,
  type Facts,
  factsOf,
  hasEnded,
  podFacts,
  type Reader,
  readerOf,
} from '#scheduling';
import type { Parts } from '../parts.ts';
import { decodeEntry, registryRoot } from '../registry.ts';
import type { ReviewCall } from './reviews.ts';

/** Time for reading before others get their turn. */
const turnMsMax = 4;

export async function reviewPlacement(
  parts: Parts,
  { info, arrival }: ReviewCall,
  spec: Readonly<Record<string, unknown>> = {},
): Promise<object> {
  const { pod: name } = spec;
  if (typeof name !== 'string' || name === '') throw badRequest('spec.pod: a name is required');
  const reader = new StoreReader(parts, arrival.signal);
  const pods = await reader.read<Pod>('pods');
  const key = `${info.namespace}/${name}`;
  const pod = pods.find((one) => objectKey(one) === key);
  if (pod === undefined) throw notFound({ group: '', resource: 'pods' }, name);
  const cluster = new Cluster(await readFacts(reader, pod));
  for (const node of await reader.read<Node>('minions')) cluster.setNode(node);
  for (const one of pods) {
    await reader.turn();
    const nodeName = one.spec?.nodeName;
    if (hasEnded(one)) continue;
    const nominated = one.status?.nominatedNodeName;
    if (nodeName) cluster.setPod(podFacts(one), nodeName);
    else if (nominated) cluster.nominations.set(podFacts(one), nominated);
  }
  const schedulerName = pod.spec?.schedulerName || 'default-scheduler';
  const profile = schedulerName === 'default-scheduler' ? defaultProfile() : undefined;
  const explanation = explain(podFacts(pod), profile, cluster);
  return {
    kind: 'PlacementReview',
    apiVersion: `${info.group}/${info.version}`,
    metadata: { creationTimestamp: null, namespace: info.namespace },
    spec,
    status: explanation,
  };
}

/** Only what this pod's rules can look at. */
async function readFacts(reader: StoreReader, { spec }: Pod): Promise<Facts> {
  const usual: Partial<Facts> = {
    namespaces: await reader.all('namespaces'),
    services: await reader.all('services/specs'),
    replicationControllers: await reader.all('controllers'),
    replicaSets: await reader.all('replicasets'),
    statefulSets: await reader.all('statefulsets'),
  };
  const volumes: Partial<Facts> = (spec?.volumes ?? []).some(
    (volume) => volume.persistentVolumeClaim !== undefined || volume.ephemeral !== undefined,
  )
    ? {
        persistentVolumes: await reader.all('persistentvolumes'),
        persistentVolumeClaims: await reader.all('persistentvolumeclaims'),
        storageClasses: await reader.all('storageclasses'),
        csiNodes: await reader.all('csinodes'),
        csiDrivers: await reader.all('csidrivers'),
        csiStorageCapacities: await reader.all('csistoragecapacities'),
        volumeAttachments: await reader.all('volumeattachments'),
      }
    : {};
  const devices: Partial<Facts> =
    (spec?.resourceClaims ?? []).length > 0 || wantsByName(spec)
      ? {
          resourceClaims: await reader.all('resourceclaims'),
          resourceSlices: await reader.all('resourceslices'),
          deviceClasses: await reader.all('deviceclasses'),
        }
      : {};
  return factsOf({ ...usual, ...volumes, ...devices });
}

/** What containers ask for by name may stand for devices. */
function wantsByName(spec: PodSpec | undefined): boolean {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  return containers.some(({ resources }) =>
    Object.keys(resources?.requests ?? {}).some(mayBeBacked),
  );
}

class StoreReader {
  readonly #parts: Parts;
  readonly #signal: AbortSignal;
  #sinceMs: number;

  constructor(parts: Parts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
    this.#sinceMs = parts.clock.monotonic();
  }

  /** All stored objects below the prefix, which holds one kind. */
  async read<T extends KubeObject>(prefix: string): Promise<readonly T[]> {
    const { entries } = this.#parts.store.list({ prefix: `${registryRoot}${prefix}/` });
    const objects: T[] = [];
    for (const entry of entries) {
      await this.turn();
      objects.push(decodeEntry<T>(entry));
    }
    return objects;
  }

  /** The same to look things up in; what kind they are, the facts say that it is put into. */
  async all(prefix: string): Promise<Reader<never>> {
    return readerOf(...(await this.read(prefix))) as Reader<KubeObject> as Reader<never>;
  }

  /** Lets others go first when this has been busy for a while. */
  async turn(): Promise<void> {
    const { clock } = this.#parts;
    if (clock.monotonic() - this.#sinceMs < turnMsMax) return;
    await clock.sleep(0, { signal: this.#signal });
    this.#sinceMs = clock.monotonic();
  }
}
