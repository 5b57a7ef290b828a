/**
 * Everything that rules look up besides nodes and pods, kept by informers.
 *
 * What nearly every decision may need is watched from the start. Volumes and devices are watched
 * from the first pod on that has claims of the sort: most clusters have none, and a scheduler that
 * starts watches no kind in vain. Such a pod waits until the first list is there (`ready`).
 */
import type { KindOf } from '#api/kind-of.ts';
import { type KubeObject, objectKey } from '#api/object.ts';
import type { Informer, Informers } from '#client';
import {
  csiDrivers,
  csiNodes,
  csiStorageCapacities,
  deviceClasses,
  namespaces,
  persistentVolumeClaims,
  persistentVolumes,
  podDisruptionBudgets,
  replicaSets,
  replicationControllers,
  resourceClaims,
  resourceSlices,
  services,
  statefulSets,
  storageClasses,
  volumeAttachments,
} from '#resources/kinds.ts';
import { mayBeBacked } from '#resources/resource/extended-device-class.ts';
import type { ClusterChange, Facts, PodFacts, Reader } from '#scheduling';

type FactChange = Extract<ClusterChange, { what: 'fact' }>;

export interface FactListener {
  onFact(change: FactChange, object: KubeObject): void;
}

export class FactInformers {
  readonly facts: Facts;
  readonly #informers: Informers;
  readonly #listener: FactListener;
  readonly #signal: AbortSignal;
  readonly #volumes: Group;
  readonly #devices: Group;
  readonly #base: Group;

  constructor(informers: Informers, listener: FactListener, signal: AbortSignal) {
    this.#informers = informers;
    this.#listener = listener;
    this.#signal = signal;
    this.#base = new Group(signal);
    this.#volumes = new Group(signal);
    this.#devices = new Group(signal);
    const [base, volumes, devices] = [this.#base, this.#volumes, this.#devices];
    this.facts = {
      namespaces: this.#read(base, namespaces, 'namespace'),
      services: this.#read(base, services),
      replicationControllers: this.#read(base, replicationControllers),
      replicaSets: this.#read(base, replicaSets),
      statefulSets: this.#read(base, statefulSets),
      podDisruptionBudgets: this.#read(base, podDisruptionBudgets),
      persistentVolumes: this.#read(volumes, persistentVolumes, 'volume'),
      persistentVolumeClaims: this.#read(volumes, persistentVolumeClaims, 'claim'),
      storageClasses: this.#read(volumes, storageClasses, 'storageClass'),
      csiNodes: this.#read(volumes, csiNodes, 'csiNode'),
      csiDrivers: this.#read(volumes, csiDrivers, 'csiDriver'),
      csiStorageCapacities: this.#read(volumes, csiStorageCapacities, 'storageCapacity'),
      volumeAttachments: this.#read(volumes, volumeAttachments, 'volumeAttachment'),
      resourceClaims: this.#read(devices, resourceClaims, 'deviceClaim'),
      resourceSlices: this.#read(devices, resourceSlices, 'deviceSlice'),
      deviceClasses: this.#read(devices, deviceClasses, 'deviceClass'),
    };
  }

  /** The first lists of what every decision may need are there. */
  async synced(): Promise<void> {
    await this.#base.open();
  }

  /** Undefined where everything that the pod needs is known already. */
  ready(pod: PodFacts): Promise<void> | undefined {
    const wanted = this.#missing(pod);
    if (wanted.length === 0) return undefined;
    return Promise.all(wanted.map((group) => group.open())).then(() => {});
  }

  knows(pod: PodFacts): boolean {
    return this.#missing(pod).length === 0;
  }

  #missing({ pod, claims, requests }: PodFacts): readonly Group[] {
    const wanted: Group[] = [];
    if (claims.length > 0 && !this.#volumes.isOpen) wanted.push(this.#volumes);
    if (!this.#devices.isOpen) {
      // What is asked for by name may stand for devices: only their classes can tell.
      const named = [...(requests.others?.keys() ?? [])].some(mayBeBacked);
      if (named || (pod.spec?.resourceClaims ?? []).length > 0) wanted.push(this.#devices);
    }
    return wanted;
  }

  #read<T extends KubeObject>(group: Group, kind: KindOf<T>, tell?: FactChange['kind']): Reader<T> {
    let informer: Informer<T> | undefined;
    group.add(() => {
      informer = this.#informers.of(kind);
      if (tell !== undefined) this.#follow(informer, tell);
      return informer;
    });
    return {
      get: (key) => informer?.get(key),
      list: () => informer?.list() ?? [],
      listNamespace: (namespace) => informer?.listNamespace(namespace) ?? [],
    };
  }

  #follow<T extends KubeObject>(informer: Informer<T>, kind: FactChange['kind']): void {
    const tell = (object: T, action: FactChange['action']): void => {
      if (this.#signal.aborted) return;
      this.#listener.onFact({ what: 'fact', kind, key: objectKey(object), action }, object);
    };
    informer.addHandler({
      onAdd: (object) => tell(object, 'Add'),
      onUpdate: (object) => tell(object, 'Update'),
      onDelete: (object) => tell(object, 'Delete'),
    });
  }
}

/** Informers that are opened together. */
class Group {
  readonly #signal: AbortSignal;
  readonly #openers: (() => Pick<Informer<KubeObject>, 'synced'>)[] = [];
  #opening: Promise<void> | undefined;
  #isOpen = false;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  add(opener: () => Pick<Informer<KubeObject>, 'synced'>): void {
    this.#openers.push(opener);
  }

  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<void> {
    const informers = this.#openers.map((opener) => opener());
    await Promise.all(informers.map((one) => one.synced({ signal: this.#signal })));
    this.#isOpen = true;
  }
}
