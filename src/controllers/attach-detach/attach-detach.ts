/**
 * Attaches volumes of CSI drivers to the nodes whose pods use them, and detaches them after.
 *
 * Attaching itself is done by the driver's attacher, outside: asked by a VolumeAttachment, it says
 * there when it has. What is attached to a node stands in its status, where its kubelet waits for
 * it. One key per volume; `plan.ts` decides. Other sorts of volumes are never attached.
 */

import { isReason } from '#api/errors.ts';
import { objectKey } from '#api/object.ts';
import type { Cancel, Informer, Recorder } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  volumeAttachments as attachmentKind,
  persistentVolumeClaims as claimKind,
  csiDrivers as driverKind,
  nodes as nodeKind,
  pods as podKind,
  persistentVolumes as volumeKind,
} from '#resources/kinds.ts';
import type {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
} from '#resources/types/core-v1.ts';
import type { CSIDriver, VolumeAttachment } from '#resources/types/storage-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { Expectations } from '../expectations.ts';
import { claimKeysOf, podsByClaim } from '../persistent-volume/claims-of-pod.ts';
import { isTerminated, nodeNamesOf, podsByNode } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import { type AttachAction, isManaged, planAttached, planAttachments, type Use } from './plan.ts';

const byVolume = 'volume';
/** Between two looks whether attachments that were made have been seen. */
const unseenMs = 60_000;

export function openAttachDetachController(deps: ControllerDeps): Controller {
  const controller = new AttachDetachController(deps);
  const { volumes, claims, pods, nodes, attachments, drivers } = controller;
  return {
    name: 'persistentvolume-attach-detach-controller',
    queue: controller.queue,
    reconcile: (key, cancel) => controller.reconcile(key, cancel),
    workers: 4,
    sources: [volumes, claims, pods, nodes, attachments, drivers],
  };
}

class AttachDetachController {
  readonly queue: WorkQueue;
  readonly volumes: Informer<PersistentVolume>;
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly pods: Informer<Pod>;
  readonly nodes: Informer<Node>;
  readonly attachments: Informer<VolumeAttachment>;
  readonly drivers: Informer<CSIDriver>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  /** By volume: attachments that were made and are not seen yet. */
  readonly #expectations: Expectations;
  /** Since when attachments are not wanted, by name, on the monotonic clock. */
  readonly #unwantedMs = new Map<string, number>();
  /** For each attachment, by name, what was told to which of the pods that wait for it. */
  readonly #told = new Map<string, Set<string>>();

  constructor(deps: ControllerDeps) {
    const { informers } = deps;
    this.#deps = deps;
    this.#recorder = deps.recorderFor('attachdetach-controller');
    this.queue = new WorkQueue(deps);
    this.#expectations = new Expectations(deps);
    this.volumes = informers.of(volumeKind);
    this.claims = informers.of(claimKind);
    this.pods = informers.of(podKind);
    this.nodes = informers.of(nodeKind);
    this.attachments = informers.of(attachmentKind);
    this.drivers = informers.of(driverKind);
    this.pods.addIndex(podsByClaim, claimKeysOf);
    this.pods.addIndex(podsByNode, nodeNamesOf);
    this.attachments.addIndex(byVolume, ({ spec }) => [spec.source.persistentVolumeName ?? '']);
    this.#watch();
  }

  #watch(): void {
    const wakeVolume = ({ metadata }: PersistentVolume): void =>
      this.queue.add(metadata.name ?? '');
    const forget = ({ metadata }: PersistentVolume): void =>
      this.#expectations.forget(metadata.name ?? '');
    this.volumes.addHandler({ onAdd: wakeVolume, onUpdate: wakeVolume, onDelete: forget });
    const wakeClaim = ({ spec }: PersistentVolumeClaim | Readonly<{ spec?: undefined }>): void => {
      if (spec?.volumeName) this.queue.add(spec.volumeName);
    };
    this.claims.addHandler({ onAdd: wakeClaim, onUpdate: wakeClaim });
    const wakePod = (pod: Pod): void => {
      for (const key of claimKeysOf(pod)) wakeClaim(this.claims.get(key) ?? {});
    };
    this.pods.addHandler({
      onAdd: wakePod,
      onUpdate: (pod, old) => {
        const moved = pod.spec?.nodeName !== old.spec?.nodeName;
        if (moved || isTerminated(pod) !== isTerminated(old)) wakePod(pod);
      },
      onDelete: wakePod,
    });
    const wakeAttachment = ({ spec }: VolumeAttachment): void =>
      this.queue.add(spec.source.persistentVolumeName ?? '');
    this.attachments.addHandler({
      onAdd: (attachment) => {
        this.#expectations.sawCreation(attachment.spec.source.persistentVolumeName ?? '');
        wakeAttachment(attachment);
      },
      onUpdate: wakeAttachment,
      onDelete: (attachment) => {
        this.#told.delete(attachment.metadata.name ?? '');
        this.#unwantedMs.delete(attachment.metadata.name ?? '');
        wakeAttachment(attachment);
      },
    });
    const wakeNode = ({ metadata }: Node): void => {
      for (const { spec } of this.attachments.list()) {
        if (spec.nodeName === metadata.name) this.queue.add(spec.source.persistentVolumeName ?? '');
      }
    };
    // Pods can be bound before their node leaves attaching to us, and before it is known at all.
    const wakePodsOf = ({ metadata }: Node): void => {
      for (const pod of this.pods.byIndex(podsByNode, metadata.name ?? '')) wakePod(pod);
    };
    this.nodes.addHandler({
      onAdd: wakePodsOf,
      onUpdate: (node, old) => {
        if (isManaged(node) && !isManaged(old)) wakePodsOf(node);
        const before = [old.status?.volumesInUse, old.spec?.taints];
        if (!isSameValue([node.status?.volumesInUse, node.spec?.taints], before)) wakeNode(node);
      },
      onDelete: wakeNode,
    });
  }

  async reconcile(name: string, { signal }: Cancel): Promise<void> {
    const volume = this.volumes.get(name);
    if (volume?.spec?.csi === undefined || !this.#needsAttaching(volume)) return;
    // Attached and not seen yet: it would look free for another node.
    if (!this.#expectations.areMet(name)) {
      this.queue.addAfter(name, unseenMs);
      return;
    }
    const now = this.#deps.clock.monotonic();
    const uses = this.#usesOf(volume);
    const attachments = [...this.attachments.byIndex(byVolume, name)];
    this.#noteUnwanted(uses, attachments, now);
    const { actions, againMs } = planAttachments(
      {
        volume,
        uses,
        attachments,
        nodeOf: (nodeName) => this.nodes.get(nodeName),
        unwantedMs: ({ metadata }) => this.#unwantedMs.get(metadata.name ?? '') ?? now,
      },
      now,
    );
    const creations = actions.filter((action) => action.do === 'attach').length;
    this.#expectations.expect(name, { creations });
    try {
      for (const action of actions) await this.#perform(action, { signal });
    } catch (error) {
      this.#expectations.forget(name);
      throw error;
    }
    if (againMs !== undefined) this.queue.addAfter(name, againMs - now);
    await this.#writeAttached(volume, uses, attachments, { signal });
  }

  #needsAttaching({ spec }: PersistentVolume): boolean {
    return this.drivers.get(spec?.csi?.driver ?? '')?.spec.attachRequired !== false;
  }

  #usesOf(volume: PersistentVolume): readonly Use[] {
    const { namespace, name, uid } = volume.spec?.claimRef ?? {};
    const key = `${namespace}/${name}`;
    const claim = this.claims.get(key);
    if (claim?.metadata.uid !== uid || claim?.spec?.volumeName !== volume.metadata.name) return [];
    const uses: Use[] = [];
    for (const pod of this.pods.byIndex(podsByClaim, key)) {
      const { nodeName = '' } = pod.spec ?? {};
      if (nodeName !== '' && !isTerminated(pod)) uses.push({ pod, volume, nodeName });
    }
    return uses;
  }

  #noteUnwanted(
    uses: readonly Use[],
    attachments: readonly VolumeAttachment[],
    nowMs: number,
  ): void {
    for (const { metadata, spec } of attachments) {
      const { name = '' } = metadata;
      const isWanted = uses.some(({ nodeName }) => nodeName === spec.nodeName);
      if (isWanted) this.#unwantedMs.delete(name);
      else if (!this.#unwantedMs.has(name)) this.#unwantedMs.set(name, nowMs);
    }
  }

  async #perform(action: AttachAction, { signal }: Cancel): Promise<void> {
    const { client } = this.#deps;
    switch (action.do) {
      case 'attach':
        await client
          .create(attachmentKind, action.attachment, { signal })
          .catch((error: unknown) => {
            if (!isReason(error, 'AlreadyExists')) throw error;
          });
        break;
      case 'detach': {
        const { name = '' } = action.attachment.metadata;
        await client.delete(attachmentKind, { name }, { signal }).catch(ignoreNotFound);
        this.#unwantedMs.delete(name);
        break;
      }
      case 'refuse':
        for (const pod of action.pods) {
          const { message } = action;
          this.#recorder.record(pod, { type: 'Warning', reason: 'FailedAttachVolume', message });
        }
        break;
      default:
        action satisfies never;
    }
  }

  /** Tells nodes and pods what the attacher has done. */
  async #writeAttached(
    volume: PersistentVolume,
    uses: readonly Use[],
    attachments: readonly VolumeAttachment[],
    { signal }: Cancel,
  ): Promise<void> {
    for (const node of this.nodes.list()) {
      const attachment = attachments.find(({ spec }) => spec.nodeName === node.metadata.name);
      const isAttached = attachment?.status?.attached === true;
      const volumesAttached = planAttached(node, volume, { isAttached });
      if (volumesAttached !== undefined) {
        const { name = '', resourceVersion } = node.metadata;
        const patch = { metadata: { resourceVersion }, status: { volumesAttached } };
        const options = { type: 'merge', subresource: 'status', signal } as const;
        await this.#deps.client.patch(nodeKind, { name }, patch, options).catch(ignoreNotFound);
      }
      const pods = uses.filter(({ nodeName }) => nodeName === node.metadata.name);
      if (attachment !== undefined) this.#tell(volume, attachment, pods);
    }
  }

  #tell(volume: PersistentVolume, attachment: VolumeAttachment, uses: readonly Use[]): void {
    const { attached, attachError } = attachment.status ?? {};
    const what = 'AttachVolume.Attach';
    const which = `for volume "${volume.metadata.name}"`;
    if (attached !== true && attachError === undefined) return;
    const { name = '' } = attachment.metadata;
    const told = this.#told.get(name) ?? new Set();
    this.#told.set(name, told);
    for (const { pod } of uses) {
      const key = `${objectKey(pod)} ${attachError?.time ?? ''}`;
      if (told.has(key)) continue;
      told.add(key);
      if (attached === true) {
        const message = `${what} succeeded ${which} `;
        this.#recorder.record(pod, { type: 'Normal', reason: 'SuccessfulAttachVolume', message });
      } else {
        const message = `${what} failed ${which} : ${attachError?.message ?? ''}`;
        this.#recorder.record(pod, { type: 'Warning', reason: 'FailedAttachVolume', message });
      }
    }
  }
}
