/**
 * Binds claims to volumes, and does with volumes what is to be done when their claims are gone.
 *
 * One queue with two sorts of keys, claims and volumes; `plan-claim.ts` and `plan-volume.ts`
 * decide, `bindings.ts` says what is written, `reclaim.ts` what happens to a released volume. Class
 * `WaitForFirstConsumer`: the scheduler chooses, and names the claim on the volume or a node on the
 * claim; from there it goes on here. Volumes are made by provisioners outside, but for folders of
 * the controllers' own machine (`provisioning.ts`).
 */
import { isReason } from '#api/errors.ts';
import { objectKey } from '#api/object.ts';
import type { Cancel, EventText, Informer, Recorder } from '#client';
import { assert } from '#kit/assert.ts';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  persistentVolumeClaims as claimKind,
  storageClasses as classKind,
  pods as podKind,
  persistentVolumes as volumeKind,
} from '#resources/kinds.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import type { StorageClass } from '#resources/types/storage-v1.ts';
import { volumeAnnotations, volumeProblem } from '#resources/volumes/volume-matching.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { isTerminated } from '../pod-state.ts';
import { claimBoundTo, claimWithStatus, volumeBoundTo, volumeUnbound } from './bindings.ts';
import { claimKeysOf, podsByClaim } from './claims-of-pod.ts';
import { claimNoted, deletionFinalizer, hostPathPlugin, volumeNoted } from './in-tree.ts';
import { defaultClassOf, planClaim } from './plan-claim.ts';
import { planVolume, type VolumeAction } from './plan-volume.ts';
import { failedToProvision, type HostFolders, type ProvisionAction } from './provisioning.ts';
import {
  planReclaim,
  type ReclaimAction,
  type RecyclingSettings,
  recyclerName,
  recyclerNamespace,
} from './reclaim.ts';
import { tellVolumes } from './volume-figures.ts';

const volumesByClaim = 'claim';
const recyclerPrefix = recyclerName('');

interface VolumeOptions {
  readonly recycling?: RecyclingSettings | undefined;
  /** Volumes of class `kubernetes.io/host-path` are made. */
  readonly makesFolders: boolean;
  /** Where nodes are hollow there are none: nothing is made or removed. */
  readonly folders?: HostFolders | undefined;
}

export function openPersistentVolumeController(
  deps: ControllerDeps,
  options: VolumeOptions,
): Controller {
  const controller = new PersistentVolumeController(deps, options);
  return {
    name: 'persistentvolume-binder-controller',
    queue: controller.queue,
    reconcile: (key, cancel) => controller.reconcile(key, cancel),
    // One: two claims at a time would choose the same volume.
    workers: 1,
    sources: [controller.volumes, controller.claims, controller.classes, controller.pods],
  };
}

class PersistentVolumeController {
  readonly queue: WorkQueue;
  readonly volumes: Informer<PersistentVolume>;
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly classes: Informer<StorageClass>;
  readonly pods: Informer<Pod>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  readonly #options: VolumeOptions;
  /** Claims that were never bound, by namespace and name. */
  readonly #unbound = new Set<string>();

  constructor(deps: ControllerDeps, options: VolumeOptions) {
    this.#options = options;
    this.#deps = deps;
    this.#recorder = deps.recorderFor('persistentvolume-controller');
    this.queue = new WorkQueue(deps);
    this.volumes = deps.informers.of(volumeKind);
    this.claims = deps.informers.of(claimKind);
    this.classes = deps.informers.of(classKind);
    this.pods = deps.informers.of(podKind);
    this.volumes.addIndex(volumesByClaim, ({ spec }) =>
      spec?.claimRef === undefined ? [] : [`${spec.claimRef.namespace}/${spec.claimRef.name}`],
    );
    this.pods.addIndex(podsByClaim, claimKeysOf);
    tellVolumes(deps.figures, this);
    const volumeNews = (volume: PersistentVolume): void => this.#volumeChanged(volume);
    this.volumes.addHandler({ onAdd: volumeNews, onUpdate: volumeNews, onDelete: volumeNews });
    const claimNews = (claim: PersistentVolumeClaim): void => this.#claimChanged(claim);
    this.claims.addHandler({ onAdd: claimNews, onUpdate: claimNews, onDelete: claimNews });
    const classNews = (): void => this.#wakeUnbound(() => true);
    this.classes.addHandler({ onAdd: classNews, onUpdate: classNews });
    const podNews = (pod: Pod): void => this.#podChanged(pod);
    this.pods.addHandler({ onAdd: podNews, onUpdate: podNews, onDelete: podNews });
  }

  #volumeChanged(volume: PersistentVolume): void {
    this.queue.add(`volume ${volume.metadata.name}`);
    const { claimRef } = volume.spec ?? {};
    if (claimRef !== undefined) this.queue.add(`claim ${claimRef.namespace}/${claimRef.name}`);
    const isFree = claimRef === undefined && volume.status?.phase === 'Available';
    this.#wakeUnbound(
      (claim) =>
        claim.spec?.volumeName === volume.metadata.name ||
        (isFree && volumeProblem(volume, claim) === undefined),
    );
  }

  #claimChanged(claim: PersistentVolumeClaim): void {
    this.queue.add(`claim ${objectKey(claim)}`);
    const isThere = this.claims.get(objectKey(claim)) !== undefined;
    if (isThere && isUnbound(claim)) this.#unbound.add(objectKey(claim));
    else this.#unbound.delete(objectKey(claim));
    if (claim.spec?.volumeName) this.queue.add(`volume ${claim.spec.volumeName}`);
    for (const volume of this.volumes.byIndex(volumesByClaim, objectKey(claim))) {
      this.queue.add(`volume ${volume.metadata.name}`);
    }
  }

  #podChanged(pod: Pod): void {
    const { name = '', namespace } = pod.metadata;
    if (namespace === recyclerNamespace && name.startsWith(recyclerPrefix)) {
      this.queue.add(`volume ${name.slice(recyclerPrefix.length)}`);
    }
    for (const key of claimKeysOf(pod)) {
      const claim = this.claims.get(key);
      if (claim !== undefined && isUnbound(claim)) this.queue.add(`claim ${key}`);
      // A volume that is to be recycled waits for the last pod that uses it.
      if (claim === undefined) {
        for (const { metadata } of this.volumes.byIndex(volumesByClaim, key)) {
          this.queue.add(`volume ${metadata.name}`);
        }
      }
    }
  }

  #wakeUnbound(which: (claim: PersistentVolumeClaim) => boolean): void {
    for (const key of this.#unbound) {
      const claim = this.claims.get(key);
      if (claim !== undefined && which(claim)) this.queue.add(`claim ${key}`);
    }
  }

  async reconcile(key: string, cancel: Cancel): Promise<void> {
    const [sort, name = ''] = key.split(' ');
    if (sort === 'claim') {
      const claim = this.claims.get(name);
      if (claim !== undefined) await this.#reconcileClaim(claim, cancel);
      return;
    }
    const volume = this.volumes.get(name);
    if (volume !== undefined) await this.#reconcileVolume(volume, cancel);
  }

  async #reconcileClaim(known: PersistentVolumeClaim, { signal }: Cancel): Promise<void> {
    const { client } = this.#deps;
    const noted = claimNoted(known);
    const claim = noted === undefined ? known : await client.update(claimKind, noted, { signal });
    const action = planClaim({
      claim,
      volumes: this.volumes.list(),
      volumeOf: (name) => this.volumes.get(name),
      classOf: (name) => this.classes.get(name),
      defaultClass: defaultClassOf(this.classes.list()),
      makesFolders: this.#options.makesFolders,
      waitingPods: () => this.#podsOf(objectKey(claim), (pod) => !pod.spec?.nodeName),
    });
    switch (action.do) {
      case 'bind':
        await this.#bind(action.volume, claim, { signal });
        break;
      case 'assign-class': {
        const spec = { ...claim.spec, storageClassName: action.className };
        await client.update(claimKind, { ...claim, spec }, { signal }).catch((error) => {
          this.#deps.figures.count('retroactive_storageclass_errors_total');
          throw error;
        });
        this.#deps.figures.count('retroactive_storageclass_total');
        break;
      }
      case 'provision':
        await this.#provision(claim, action.provisioner, { signal });
        this.#tell(claim, action.event);
        break;
      case 'make':
        await this.#make(claim, action, { signal });
        break;
      case 'wait':
        if (action.event !== undefined) this.#tell(claim, action.event);
        await this.#setClaimStatus(claim, 'Pending', undefined, { signal });
        break;
      case 'tell':
        this.#tell(claim, action.event);
        break;
      case 'lose':
        if (claim.status?.phase === 'Lost') return;
        await this.#setClaimStatus(claim, 'Lost', undefined, { signal });
        this.#tell(claim, action.event);
        break;
      default:
        action satisfies never;
    }
  }

  async #bind(
    volume: PersistentVolume,
    claim: PersistentVolumeClaim,
    { signal }: Cancel,
  ): Promise<void> {
    const { client } = this.#deps;
    const next = volumeBoundTo(volume, claim);
    const bound = next === undefined ? volume : await client.update(volumeKind, next, { signal });
    const phased = await this.#setPhase(bound, 'Bound', undefined, { signal });
    const nextClaim = claimBoundTo(claim, phased);
    const boundClaim =
      nextClaim === undefined ? claim : await client.update(claimKind, nextClaim, { signal });
    await this.#setClaimStatus(boundClaim, 'Bound', phased, { signal });
  }

  async #provision(
    claim: PersistentVolumeClaim,
    provisioner: string,
    { signal }: Cancel,
  ): Promise<void> {
    const { annotations: before = {} } = claim.metadata;
    const { storageProvisioner, betaStorageProvisioner } = volumeAnnotations;
    if (before[storageProvisioner] === provisioner) return;
    const named = { [storageProvisioner]: provisioner, [betaStorageProvisioner]: provisioner };
    const metadata = { ...claim.metadata, annotations: { ...before, ...named } };
    await this.#deps.client.update(claimKind, { ...claim, metadata }, { signal });
  }

  /** What a crash leaves half made is found by its name, folder and volume. */
  async #make(
    claim: PersistentVolumeClaim,
    { volume, className }: ProvisionAction & { readonly do: 'make' },
    { signal }: Cancel,
  ): Promise<void> {
    const { client } = this.#deps;
    await this.#provision(claim, hostPathPlugin, { signal });
    const { hostPath: { path = '' } = {} } = volume.spec ?? {};
    try {
      await this.#options.folders?.make(path);
    } catch (error) {
      const why = messageOf(error);
      const what = `Failed to provision volume with StorageClass "${className}"`;
      this.#tell(claim, failedToProvision(`${what}: ${why}`));
      throw error;
    }
    await client.create(volumeKind, volume, { signal }).catch((error: unknown) => {
      if (!isReason(error, 'AlreadyExists')) throw error;
    });
    const { name } = volume.metadata;
    const message = `Successfully provisioned volume ${name} using ${hostPathPlugin}`;
    this.#tell(claim, { type: 'Normal', reason: 'ProvisioningSucceeded', message });
  }

  async #reconcileVolume(known: PersistentVolume, { signal }: Cancel): Promise<void> {
    const noted = volumeNoted(known);
    const volume =
      noted === undefined ? known : await this.#deps.client.update(volumeKind, noted, { signal });
    const claim = await this.#claimOf(volume, { signal });
    let current = volume;
    for (const action of planVolume(volume, claim)) {
      current = await this.#performOnVolume(current, claim, action, { signal });
    }
  }

  /** The claim that the volume says, uid and all; the server is asked before one counts as gone. */
  async #claimOf(
    volume: PersistentVolume,
    { signal }: Cancel,
  ): Promise<PersistentVolumeClaim | undefined> {
    const { claimRef } = volume.spec ?? {};
    if (!claimRef?.uid) return undefined;
    const { namespace = '', name = '', uid } = claimRef;
    const cached = this.claims.get(`${namespace}/${name}`);
    if (cached?.metadata.uid === uid) return cached;
    const at = { namespace, name };
    const live = await this.#deps.client.get(claimKind, at, { signal }).catch(ignoreNotFound);
    return live?.metadata.uid === uid ? live : undefined;
  }

  async #performOnVolume(
    volume: PersistentVolume,
    claim: PersistentVolumeClaim | undefined,
    action: VolumeAction,
    { signal }: Cancel,
  ): Promise<PersistentVolume> {
    switch (action.do) {
      case 'set-phase':
        return this.#setPhase(volume, action.phase, undefined, { signal });
      case 'reclaim':
        await this.#reclaim(volume, { signal });
        return volume;
      case 'unbind':
        return this.#unbind(volume, { signal });
      case 'wake-claim':
        if (claim !== undefined) this.queue.add(`claim ${objectKey(claim)}`);
        return volume;
      case 'tell':
        this.#tell(action.about === 'volume' ? volume : (claim ?? volume), action.event);
        return volume;
      default:
        return action satisfies never;
    }
  }

  async #reclaim(volume: PersistentVolume, { signal }: Cancel): Promise<void> {
    const { namespace, name } = volume.spec?.claimRef ?? {};
    const recycler = this.pods.get(
      `${recyclerNamespace}/${recyclerName(volume.metadata.name ?? '')}`,
    );
    const users = this.#podsOf(`${namespace}/${name}`, () => true);
    const action = planReclaim({
      volume,
      recycler,
      users: users.map((user) => `${namespace}/${user}`),
      recycling: this.#options.recycling,
    });
    if (action !== undefined) await this.#performReclaim(volume, action, { signal });
  }

  async #performReclaim(
    volume: PersistentVolume,
    action: ReclaimAction,
    { signal }: Cancel,
  ): Promise<void> {
    const { client } = this.#deps;
    switch (action.do) {
      case 'fail':
        if (volume.status?.phase === 'Failed') return;
        await this.#setPhase(volume, 'Failed', action.event.message, { signal });
        this.#tell(volume, action.event);
        break;
      case 'tell':
        this.#tell(volume, action.event);
        break;
      case 'delete':
        await this.#delete(volume, action.path, { signal });
        break;
      case 'start-recycler':
        await client.create(podKind, action.pod, { signal }).catch((error: unknown) => {
          if (!isReason(error, 'AlreadyExists')) throw error;
        });
        break;
      case 'end-recycler': {
        const { failure } = action;
        const { name = '' } = volume.metadata;
        const at = { namespace: recyclerNamespace, name: recyclerName(name) };
        if (failure === undefined) {
          const message = 'Volume recycled';
          this.#tell(volume, { type: 'Normal', reason: 'VolumeRecycled', message });
          await this.#unbind(volume, { signal });
        } else {
          await this.#setPhase(volume, 'Failed', failure, { signal });
          this.#tell(volume, { type: 'Warning', reason: 'VolumeFailedRecycle', message: failure });
        }
        await client.delete(podKind, at, { signal }).catch(ignoreNotFound);
        break;
      }
      default:
        action satisfies never;
    }
  }

  /** Only as the server knows it now: its policy may just have become Retain. */
  async #delete(volume: PersistentVolume, path: string, { signal }: Cancel): Promise<void> {
    const { client } = this.#deps;
    const { name = '', uid = '', resourceVersion } = volume.metadata;
    const live = await client.get(volumeKind, { name }, { signal }).catch(ignoreNotFound);
    if (live?.metadata.resourceVersion !== resourceVersion) return;
    try {
      await this.#options.folders?.remove(path);
    } catch (error) {
      const message = messageOf(error);
      if (volume.status?.phase !== 'Failed') {
        await this.#setPhase(volume, 'Failed', message, { signal });
        this.#tell(volume, { type: 'Warning', reason: 'VolumeFailedDelete', message });
      }
      throw error;
    }
    const { finalizers = [] } = volume.metadata;
    if (finalizers.includes(deletionFinalizer)) {
      const others = finalizers.filter((one) => one !== deletionFinalizer);
      const metadata = { ...volume.metadata, finalizers: others };
      await client.update(volumeKind, { ...volume, metadata }, { signal }).catch(ignoreNotFound);
    }
    const preconditions = { uid };
    await client.delete(volumeKind, { name }, { preconditions, signal }).catch(ignoreNotFound);
  }

  async #unbind(volume: PersistentVolume, { signal }: Cancel): Promise<PersistentVolume> {
    const { client } = this.#deps;
    const unbound = await client.update(volumeKind, volumeUnbound(volume), { signal });
    return this.#setPhase(unbound, 'Available', undefined, { signal });
  }

  async #setPhase(
    volume: PersistentVolume,
    phase: 'Available' | 'Bound' | 'Released' | 'Failed',
    message: string | undefined,
    { signal }: Cancel,
  ): Promise<PersistentVolume> {
    if (volume.status?.phase === phase) return volume;
    const { message: _, ...others } = volume.status ?? {};
    const status = { ...others, phase, ...(message === undefined ? {} : { message }) };
    const options = { subresource: 'status', signal };
    return this.#deps.client.update(volumeKind, { ...volume, status }, options);
  }

  async #setClaimStatus(
    claim: PersistentVolumeClaim,
    phase: 'Pending' | 'Bound' | 'Lost',
    volume: PersistentVolume | undefined,
    { signal }: Cancel,
  ): Promise<void> {
    const next = claimWithStatus(claim, phase, volume);
    if (next === undefined) return;
    await this.#deps.client.update(claimKind, next, { subresource: 'status', signal });
  }

  /** Names of the pods that use the claim and have not ended. */
  #podsOf(claimKey: string, which: (pod: Pod) => boolean): readonly string[] {
    const names: string[] = [];
    for (const pod of this.pods.byIndex(podsByClaim, claimKey)) {
      if (!isTerminated(pod) && which(pod)) names.push(pod.metadata.name ?? '');
    }
    return names.toSorted();
  }

  #tell(about: PersistentVolume | PersistentVolumeClaim, event: EventText): void {
    assert(event.message !== '', 'an event says something');
    this.#recorder.record(about, event);
  }
}

/** Never bound yet: a new volume, class or pod may change that. */
function isUnbound(claim: PersistentVolumeClaim): boolean {
  const isBound = volumeAnnotations.bindCompleted in (claim.metadata.annotations ?? {});
  return !isBound && claim.metadata.deletionTimestamp === undefined;
}
