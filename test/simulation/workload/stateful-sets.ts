/**
 * StatefulSets: ordered and parallel, scaled, rolled with and without a partition, some with a
 * claim for each pod, and their pods deleted one by one, while nodes die under them. The claims
 * find volumes on a shelf; what is left of a deleted claim is put back on it.
 */
import {
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  statefulSets,
  storageClasses,
} from '#resources/kinds.ts';
import type { StatefulSet } from '#resources/types/apps-v1.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import { isPodReady } from '../states.ts';
import { Made, type Named } from './made.ts';
import { type Actor, containersOf, type User } from './user.ts';

const statefulNamespace = 'stateful';
const namespace = statefulNamespace;
const shelf = 'shelf';
/** More than all sets can have at a time. */
const volumesMax = 12;
const setsMax = 2;
const replicasMax = 4;
const steps = [
  'create',
  'scale',
  'scale',
  'roll',
  'roll',
  'roll',
  'kill',
  'kill',
  'tidy',
  'delete',
] as const;

export class StatefulSets implements Actor {
  readonly #user: User;
  readonly #sets: Made<StatefulSet>;

  constructor(user: User) {
    this.#user = user;
    const make = (metadata: Named): StatefulSet => newSet(metadata, user);
    this.#sets = new Made(user, { kind: statefulSets, namespace, most: setsMax, stem: 'db', make });
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const volumeBindingMode = user.choose(['WaitForFirstConsumer', 'Immediate']);
    const provisioner = 'kubernetes.io/no-provisioner';
    const apiVersion = 'storage.k8s.io/v1';
    const metadata = { name: shelf };
    const made = { apiVersion, kind: 'StorageClass', metadata, provisioner, volumeBindingMode };
    await user.create(storageClasses, made, signal);
    for (let index = 0; index < volumesMax; index++) {
      await user.create(persistentVolumes, newVolume(user.nextName('volume')), signal);
    }
    await this.#sets.begin(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    const name = this.#sets.any();
    if (step === 'create' || name === undefined) return this.#sets.create(signal);
    switch (step) {
      case 'scale':
        return this.#sets.patch(name, { spec: { replicas: user.between(0, replicasMax) } }, signal);
      case 'roll':
        return this.#sets.roll(name, signal);
      case 'kill': {
        const pod = `${name}-${user.random.integer(3)}`;
        return user.delete(pods, { namespace, name: pod }, { signal });
      }
      case 'tidy':
        return this.settle(signal);
      case 'delete':
        return this.#sets.delete(name, signal);
      default:
        step satisfies never;
    }
  }

  /** Claims that no set has any more go, and the volumes of claims that are gone are free again. */
  async settle(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const { truth } = user;
    const claim = persistentVolumeClaims.kind;
    for (const { metadata } of truth.of<PersistentVolumeClaim>(claim, namespace)) {
      const { name = '', labels } = metadata;
      if (this.#sets.names.includes(labels?.['app'] ?? '')) continue;
      await user.delete(persistentVolumeClaims, { namespace, name }, { signal });
    }
    for (const { metadata, spec, status } of truth.of<PersistentVolume>('PersistentVolume')) {
      // Others have volumes too, and what becomes of those is not for us to say.
      const isOurs = spec?.storageClassName === shelf;
      if (!isOurs || status?.phase !== 'Released' || spec?.claimRef === undefined) continue;
      const patch = { spec: { claimRef: null } };
      await user.patch(persistentVolumes, { name: metadata.name ?? '' }, patch, { signal });
    }
  }

  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems = [...this.#sets.missing()];
    let wanted = 0;
    for (const { metadata, spec, status } of truth.of<StatefulSet>('StatefulSet', namespace)) {
      const { name, generation } = metadata;
      const { replicas = 1, updateStrategy } = spec ?? {};
      wanted += replicas;
      const { observedGeneration, readyReplicas = 0, updatedReplicas = 0 } = status ?? {};
      // Those below the partition stay as they are, and so do all where pods are to be deleted.
      const { partition = 0 } = updateStrategy?.rollingUpdate ?? {};
      const rolled = updateStrategy?.type === 'OnDelete' ? 0 : Math.max(0, replicas - partition);
      const isDone = readyReplicas === replicas && updatedReplicas >= rolled;
      if (isDone && observedGeneration === generation) continue;
      problems.push(`stateful set ${name} wants ${replicas}: ${JSON.stringify(status)}`);
    }
    const all = [...truth.of<Pod>('Pod', namespace)];
    if (all.length !== wanted) problems.push(`${all.length} stateful pods of ${wanted}`);
    for (const pod of all) {
      if (!isPodReady(pod)) problems.push(`pod ${pod.metadata.name} is not ready`);
    }
    return [...problems, ...this.#unbound()];
  }

  /** Claims in use that have no volume which says the same. */
  #unbound(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    for (const { spec } of truth.of<Pod>('Pod', namespace)) {
      for (const { persistentVolumeClaim } of spec?.volumes ?? []) {
        if (persistentVolumeClaim === undefined) continue;
        const { claimName } = persistentVolumeClaim;
        const claim = truth.find<PersistentVolumeClaim>(
          'PersistentVolumeClaim',
          claimName,
          namespace,
        );
        const { volumeName = '' } = claim?.spec ?? {};
        const volume = truth.find<PersistentVolume>('PersistentVolume', volumeName);
        const isOurs = volume?.spec?.claimRef?.uid === claim?.metadata.uid;
        if (claim?.status?.phase === 'Bound' && volume?.status?.phase === 'Bound' && isOurs)
          continue;
        problems.push(`claim ${claimName} is not bound: ${JSON.stringify(claim?.status)}`);
      }
    }
    return problems;
  }
}

function newVolume(name: string): PersistentVolume {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: shelf,
      persistentVolumeReclaimPolicy: 'Retain',
      hostPath: { path: `/data/${name}` },
    },
  };
}

function newSet(metadata: Named, user: User): StatefulSet {
  const labels = { app: metadata.name };
  const claim: PersistentVolumeClaim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data', labels },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: shelf,
      resources: { requests: { storage: '1Gi' } },
    },
  };
  const updateStrategy = user.choose([
    { type: 'RollingUpdate' },
    { type: 'RollingUpdate' },
    { type: 'RollingUpdate' },
    { type: 'RollingUpdate', rollingUpdate: { partition: user.between(0, 3) } },
    { type: 'OnDelete' },
  ]);
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata,
    spec: {
      replicas: user.between(1, replicasMax),
      serviceName: metadata.name,
      selector: { matchLabels: labels },
      podManagementPolicy: user.choose(['OrderedReady', 'OrderedReady', 'Parallel']),
      updateStrategy,
      minReadySeconds: user.choose([0, 0, 2]),
      revisionHistoryLimit: user.between(0, 3),
      persistentVolumeClaimRetentionPolicy: {
        whenDeleted: user.choose(['Retain', 'Delete']),
        whenScaled: user.choose(['Retain', 'Delete']),
      },
      ...(user.happens(0.5) ? { volumeClaimTemplates: [claim] } : {}),
      template: { metadata: { labels }, spec: { containers: containersOf('20m') } },
    },
  };
}
