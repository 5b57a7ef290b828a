/**
 * A stand-in for a storage system and its programs in the cluster: it makes volumes for claims of
 * its class, deletes them when they are let go, and attaches them to nodes and detaches them as it
 * is asked to, each a moment later, over a faulty connection like everybody's.
 */
import { isReason } from '#api/errors.ts';
import { type Informer, openInformers } from '#client';
import { Scope } from '#kit/scope.ts';
import {
  csiNodes,
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  storageClasses,
  volumeAttachments,
} from '#resources/kinds.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { CSINode, StorageClass, VolumeAttachment } from '#resources/types/storage-v1.ts';
import type { Intruder, IntruderDeps } from '../world.ts';

export const driver = 'disk.example.com';
/** Volumes of this driver on one node. */
const volumesMax = 3;
const attachFinalizer = `external-attacher/${driver}`;
const managed = 'volumes.kubernetes.io/controller-managed-attach-detach';
const provisionedBy = 'pv.kubernetes.io/provisioned-by';
const provisionFinalizer = 'external-provisioner.volume.kubernetes.io/finalizer';
const zoneLabel = 'topology.kubernetes.io/zone';
const pauseMsMax = 3_000;

export const storageDriver: Intruder = async (deps, signal) => {
  const informers = openInformers(deps);
  const system = new StorageSystem(deps, {
    claims: informers.of(persistentVolumeClaims),
    volumes: informers.of(persistentVolumes),
    classes: informers.of(storageClasses),
    attachments: informers.of(volumeAttachments),
    nodes: informers.of(nodes),
    csiNodes: informers.of(csiNodes),
  });
  const scope = new Scope(signal);
  scope.spawn((inner) => informers.run(inner));
  scope.spawn(async (inner) => {
    for (;;) {
      await deps.clock.sleep(deps.random.integer(pauseMsMax), { signal: inner });
      await system.turn(inner);
    }
  });
  await scope.join();
};

interface Sources {
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly volumes: Informer<PersistentVolume>;
  readonly classes: Informer<StorageClass>;
  readonly attachments: Informer<VolumeAttachment>;
  readonly nodes: Informer<Node>;
  readonly csiNodes: Informer<CSINode>;
}

class StorageSystem {
  readonly #deps: IntruderDeps;
  readonly #sources: Sources;

  constructor(deps: IntruderDeps, sources: Sources) {
    this.#deps = deps;
    this.#sources = sources;
  }

  /** Looks at everything once; what fails is tried again the next time. */
  async turn(signal: AbortSignal): Promise<void> {
    const { claims, volumes, attachments, nodes: machines } = this.#sources;
    for (const node of machines.list()) await this.#try(() => this.#register(node, signal), signal);
    for (const claim of claims.list())
      await this.#try(() => this.#provision(claim, signal), signal);
    for (const one of attachments.list()) await this.#try(() => this.#attach(one, signal), signal);
    for (const one of volumes.list()) await this.#try(() => this.#reclaim(one, signal), signal);
  }

  async #try(act: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
    try {
      await act();
    } catch (error) {
      signal.throwIfAborted();
      this.#deps.log.debug('will be tried again', { error });
    }
  }

  /** The driver runs on every node, and its kubelet leaves attaching to the controllers. */
  async #register({ metadata }: Node, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const { name = '', uid = '', annotations } = metadata;
    if (annotations?.[managed] !== 'true') {
      const patch = { metadata: { annotations: { [managed]: 'true' } } };
      await client.patch(nodes, { name }, patch, { type: 'merge', signal });
    }
    if (this.#sources.csiNodes.get(name) !== undefined) return;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name, uid }];
    const allocatable = { count: volumesMax };
    const made: CSINode = {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSINode',
      metadata: { name, ownerReferences },
      spec: { drivers: [{ name: driver, nodeID: name, allocatable }] },
    };
    await client.create(csiNodes, made, { signal });
  }

  async #provision({ metadata, spec }: PersistentVolumeClaim, signal: AbortSignal): Promise<void> {
    const { name, namespace, uid, annotations = {}, deletionTimestamp } = metadata;
    if (annotations['volume.kubernetes.io/storage-provisioner'] !== driver) return;
    if (spec?.volumeName || deletionTimestamp !== undefined) return;
    const { storageClassName = '' } = spec ?? {};
    const storage = this.#sources.classes.get(storageClassName);
    const waits = storage?.volumeBindingMode === 'WaitForFirstConsumer';
    const selected = annotations['volume.kubernetes.io/selected-node'];
    if (waits && selected === undefined) return;
    // A disk is where its first user is, as far as anybody has told.
    const zone = this.#sources.nodes.get(selected ?? '')?.metadata.labels?.[zoneLabel];
    const volumeName = `pvc-${uid}`;
    if (this.#sources.volumes.get(volumeName) !== undefined) return;
    const volume: PersistentVolume = {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: {
        name: volumeName,
        labels: zone === undefined ? {} : { [zoneLabel]: zone },
        annotations: { [provisionedBy]: driver },
        finalizers: [provisionFinalizer],
      },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: spec?.accessModes ?? [],
        storageClassName,
        persistentVolumeReclaimPolicy: 'Delete',
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
        csi: { driver, volumeHandle: volumeName },
      },
    };
    await this.#deps.client.create(persistentVolumes, volume, { signal });
  }

  async #attach({ metadata, spec, status }: VolumeAttachment, signal: AbortSignal): Promise<void> {
    if (spec.attacher !== driver) return;
    const { client } = this.#deps;
    const { name = '', uid, resourceVersion, finalizers = [], deletionTimestamp } = metadata;
    const others = finalizers.filter((one) => one !== attachFinalizer);
    const write = (patch: object, more: { readonly subresource?: string } = {}) =>
      client.patch(volumeAttachments, { name }, patch, { type: 'merge', ...more, signal });
    if (deletionTimestamp !== undefined) {
      if (others.length === finalizers.length) return;
      await write({ metadata: { uid, resourceVersion, finalizers: others } });
    } else if (others.length === finalizers.length) {
      const all = [...finalizers, attachFinalizer];
      await write({ metadata: { uid, resourceVersion, finalizers: all } });
    } else if (status?.attached !== true) {
      await write({ metadata: { uid }, status: { attached: true } }, { subresource: 'status' });
    }
  }

  /** A volume that was let go is deleted once it is attached nowhere. */
  async #reclaim({ metadata, spec, status }: PersistentVolume, signal: AbortSignal): Promise<void> {
    if (metadata.annotations?.[provisionedBy] !== driver) return;
    const { client } = this.#deps;
    const { name = '', uid = '', resourceVersion, finalizers = [], deletionTimestamp } = metadata;
    const attachments = [...this.#sources.attachments.list()];
    const isAttached = attachments.some((one) => one.spec.source.persistentVolumeName === name);
    if (isAttached || spec?.persistentVolumeReclaimPolicy !== 'Delete') return;
    if (status?.phase !== 'Released' && deletionTimestamp === undefined) return;
    const others = finalizers.filter((one) => one !== provisionFinalizer);
    if (deletionTimestamp === undefined) {
      await client.delete(persistentVolumes, { name }, { preconditions: { uid }, signal });
    } else if (others.length < finalizers.length) {
      const patch = { metadata: { uid, resourceVersion, finalizers: others } };
      await client
        .patch(persistentVolumes, { name }, patch, { type: 'merge', signal })
        .catch((error: unknown) => {
          if (!isReason(error, 'NotFound')) throw error;
        });
    }
  }
}
