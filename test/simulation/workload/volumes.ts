/**
 * Volumes of a storage system outside the cluster: a Deployment with one claim for its one pod, one
 * whose pods each bring a volume of their own, and claims by hand for volumes of the nodes that are
 * deleted, or emptied and used again. `storage-driver.ts` is the system's side of it.
 */
import {
  csiDrivers,
  deployments,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  storageClasses,
} from '#resources/kinds.ts';
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  PersistentVolumeClaimSpec,
  Pod,
  PodSpec,
} from '#resources/types/core-v1.ts';
import type { VolumeAttachment } from '#resources/types/storage-v1.ts';
import { missingIn } from '../checkers/convergence.ts';
import { Made, type Named } from './made.ts';
import { driver } from './storage-driver.ts';
import { type Actor, containersOf, deploymentOf, type User } from './user.ts';

const namespace = 'stored';
const className = 'fast';
const byHand = 'by-hand';
const data = 'solo-data';
const names = ['solo', 'scratch'] as const;
const shelvesMax = 3;
const steps = ['kill', 'kill', 'roll', 'scale', 'scale', 'claim', 'claim', 'let-go'] as const;

export class Volumes implements Actor {
  readonly #user: User;
  readonly #claims: Made<PersistentVolumeClaim>;

  constructor(user: User) {
    this.#user = user;
    const make = (metadata: Named): PersistentVolumeClaim =>
      newClaim(metadata, { storageClassName: byHand });
    const kind = persistentVolumeClaims;
    this.#claims = new Made(user, { kind, namespace, most: shelvesMax, stem: 'note', make });
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    const apiVersion = 'storage.k8s.io/v1';
    const spec = { attachRequired: true };
    const served = { apiVersion, kind: 'CSIDriver', metadata: { name: driver }, spec };
    await user.create(csiDrivers, served, signal);
    const fast = {
      apiVersion,
      kind: 'StorageClass',
      metadata: { name: className },
      provisioner: driver,
      volumeBindingMode: user.choose(['WaitForFirstConsumer', 'Immediate']),
      reclaimPolicy: 'Delete',
    };
    await user.create(storageClasses, fast, signal);
    const accessMode = user.choose(['ReadWriteOnce', 'ReadWriteOncePod']);
    const options = { storageClassName: className, accessMode };
    const claim = newClaim({ namespace, name: data }, options);
    await user.create(persistentVolumeClaims, claim, signal);
    for (const name of names) await this.#createUser(name, signal);
    for (let index = 0; index < shelvesMax; index++) {
      const volume = newShelf(user.nextName('shelf'), user);
      await user.create(persistentVolumes, volume, signal);
    }
  }

  async step(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    const step = user.choose(steps);
    switch (step) {
      case 'kill': {
        // Not of the other one, which has a floor.
        const all = [...user.truth.of<Pod>('Pod', namespace)];
        const found = all.find(({ metadata }) => metadata.labels?.['app'] === 'solo');
        if (found === undefined) return;
        const { name = '' } = found.metadata;
        return user.delete(pods, { namespace, name }, { signal });
      }
      case 'roll': {
        const annotations = { roll: user.random.uuid() };
        const patch = { spec: { template: { metadata: { annotations } } } };
        return user.patch(deployments, { namespace, name: user.choose(names) }, patch, { signal });
      }
      case 'scale': {
        const name = user.choose(names);
        const patch = { spec: { replicas: user.between(0, name === 'solo' ? 1 : 3) } };
        return user.patch(deployments, { namespace, name }, patch, { signal });
      }
      case 'claim':
        return this.#claims.create(signal);
      case 'let-go': {
        const name = this.#claims.any();
        if (name !== undefined) await this.#claims.delete(name, signal);
        return;
      }
      default:
        step satisfies never;
    }
  }

  missing(): readonly string[] {
    return [...missingIn(this.#user.truth, namespace, names), ...this.#volumes(), ...this.#uses()];
  }

  /** Volumes that are still to be put away, and claims that should have gone with their pods. */
  #volumes(): readonly string[] {
    const { truth } = this.#user;
    const problems: string[] = [];
    for (const { metadata, status } of truth.of<PersistentVolume>('PersistentVolume')) {
      const { name = '', annotations } = metadata;
      const isServed = annotations?.['pv.kubernetes.io/provisioned-by'] === driver;
      if (!isServed && !name.startsWith('shelf')) continue;
      const isUsed = status?.phase === 'Bound';
      const isAtRest = !isServed && (status?.phase === 'Available' || status?.phase === 'Failed');
      if (!isUsed && !isAtRest) problems.push(`volume ${name} is ${status?.phase}`);
    }
    for (const { metadata } of truth.of<PersistentVolumeClaim>(
      'PersistentVolumeClaim',
      namespace,
    )) {
      const { name = '' } = metadata;
      if (name === data || this.#claims.names.includes(name)) continue;
      const [owner] = metadata.ownerReferences ?? [];
      if (owner === undefined || !truth.has(owner.uid)) problems.push(`claim ${name} is left over`);
    }
    for (const name of this.#claims.names) {
      const claim = truth.find('PersistentVolumeClaim', name, namespace);
      if (claim === undefined) problems.push(`claim ${name} is lost`);
    }
    return problems;
  }

  /** Attached is what pods use, where they use it, and nothing else. */
  #uses(): readonly string[] {
    const { truth } = this.#user;
    const wanted = new Set<string>();
    for (const { metadata, spec } of truth.of<Pod>('Pod', namespace)) {
      for (const { name, ephemeral, persistentVolumeClaim } of spec?.volumes ?? []) {
        const claimName = persistentVolumeClaim?.claimName ?? `${metadata.name}-${name}`;
        if (ephemeral === undefined && persistentVolumeClaim === undefined) continue;
        const claim = truth.find<PersistentVolumeClaim>(
          'PersistentVolumeClaim',
          claimName,
          namespace,
        );
        wanted.add(`${claim?.spec?.volumeName} to ${spec?.nodeName}`);
      }
    }
    const problems: string[] = [];
    for (const { spec, status } of truth.of<VolumeAttachment>('VolumeAttachment')) {
      const use = `${spec.source.persistentVolumeName} to ${spec.nodeName}`;
      if (!wanted.delete(use)) problems.push(`${use} is attached for nobody`);
      else if (status?.attached !== true) problems.push(`${use} is not attached yet`);
    }
    for (const use of wanted) problems.push(`${use} is not attached`);
    return problems;
  }

  async #createUser(name: (typeof names)[number], signal: AbortSignal): Promise<void> {
    const made = deploymentOf({ namespace, name }, name === 'solo' ? 1 : 2, specOf(name));
    const strategy = { type: 'Recreate' };
    const spec = name === 'solo' ? { ...made.spec, strategy } : made.spec;
    await this.#user.create(deployments, { ...made, spec } as typeof made, signal);
  }
}

function specOf(name: (typeof names)[number]): PodSpec {
  const containers = containersOf('10m');
  if (name === 'solo') {
    return {
      containers,
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName: data } }],
    };
  }
  const { spec } = newClaim({ namespace, name: 'none' }, { storageClassName: className });
  return {
    containers,
    volumes: [{ name: 'work', ephemeral: { volumeClaimTemplate: { spec: spec ?? {} } } }],
  };
}

function newClaim(
  metadata: Named,
  {
    storageClassName,
    accessMode = 'ReadWriteOnce',
  }: { readonly storageClassName: string; readonly accessMode?: string },
): PersistentVolumeClaim & { readonly spec: PersistentVolumeClaimSpec } {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata,
    spec: {
      accessModes: [accessMode],
      storageClassName,
      resources: { requests: { storage: '1Gi' } },
    },
  };
}

/** Of a node's disk: nobody can delete it there, so it fails in the end, or it is emptied. */
function newShelf(name: string, user: User): PersistentVolume {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: byHand,
      persistentVolumeReclaimPolicy: user.choose(['Delete', 'Recycle', 'Recycle']),
      hostPath: { path: `/data/${name}` },
    },
  };
}
