/** Making volumes, claims and classes, and reading what became of them, for tests of storage. */
import {
  events,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  storageClasses,
} from '#resources/kinds.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { World } from './control-world.ts';

export const namespace = 'default';
export const merge = (world: World) => ({ type: 'merge', signal: world.signal }) as const;

export async function createVolume(
  world: World,
  name: string,
  spec: object = {},
  metadata: object = {},
) {
  const volume: PersistentVolume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, ...metadata },
    spec: {
      capacity: { storage: '10Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'manual',
      hostPath: { path: '/mnt/data' },
      ...spec,
    },
  };
  await world.client.create(persistentVolumes, volume, world);
  await world.pass(300);
}

export async function createClaim(
  world: World,
  name: string,
  spec: object = {},
  metadata: object = {},
) {
  const claim: PersistentVolumeClaim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { namespace, name, ...metadata },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'manual',
      resources: { requests: { storage: '3Gi' } },
      ...spec,
    },
  };
  await world.client.create(persistentVolumeClaims, claim, world);
  await world.pass(300);
}

export async function createClass(
  world: World,
  name: string,
  more: object = {},
  metadata: object = {},
) {
  const kind = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass' };
  const storageClass = { ...kind, metadata: { name, ...metadata }, provisioner: 'x.y/z', ...more };
  await world.client.create(storageClasses, storageClass, world);
  await world.pass(300);
}

export const volumeOf = (world: World, name: string) =>
  world.client.get(persistentVolumes, { name }, world);
export const claimOf = (world: World, name: string) =>
  world.client.get(persistentVolumeClaims, { namespace, name }, world);

export async function bondOf(world: World, name: string): Promise<string> {
  const { spec, status } = await claimOf(world, name);
  return `${status?.phase} ${spec?.volumeName ?? ''}`.trim();
}

export async function phaseOf(world: World, name: string): Promise<string> {
  const { spec, status } = await volumeOf(world, name);
  return `${status?.phase} ${spec?.claimRef?.name ?? ''}`.trim();
}

export async function toldAbout(world: World, name: string): Promise<readonly string[]> {
  const all = await world.list(events);
  return all
    .filter(({ regarding }) => regarding?.name === name)
    .map(({ reason, note }) => `${reason}: ${note}`);
}

export async function rowOf(world: World, name: string): Promise<readonly unknown[]> {
  const path = `/api/v1/persistentvolumes/${name}`;
  const accept = 'application/json;as=Table;g=meta.k8s.io;v=v1';
  const { body } = await world.server.request('GET', path, undefined, { headers: { accept } });
  return body.rows[0].cells;
}

export async function createPod(
  world: World,
  name: string,
  volumes: readonly object[],
): Promise<void> {
  const spec = { containers: [{ name: 'c', image: 'i' }], volumes };
  const metadata = { namespace, name };
  await world.client.create(
    pods,
    { apiVersion: 'v1', kind: 'Pod', metadata, spec: spec as never },
    world,
  );
  await world.pass(300);
}
