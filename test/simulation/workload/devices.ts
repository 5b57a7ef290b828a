/**
 * Devices, a few on a few nodes, and pods that each bring a claim for one or two of them, by class
 * and by what the device says of itself; more pods than devices, some of which share a claim. Some
 * ask for one by the name of an extended resource, and the scheduler makes the claim. Who finds
 * none waits until another is gone.
 */
import {
  deviceClasses,
  pods,
  resourceClaims,
  resourceClaimTemplates,
  resourceSlices,
} from '#resources/kinds.ts';
import type { Pod, PodResourceClaim } from '#resources/types/core-v1.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { isPodReady } from '../states.ts';
import { Made, type Named } from './made.ts';
import { type Actor, containersOf, type User } from './user.ts';

const namespace = 'lab';
const apiVersion = 'resource.k8s.io/v1';
const driver = 'gpu.example.com';
const deviceClassName = 'gpu';
const nodesWithDevices = ['node-1', 'node-2'];
const devices = ['a', 'b'].map((model, index) => ({
  name: `gpu-${index}`,
  attributes: { model: { string: model } },
}));
const wishes = {
  any: { deviceClassName },
  second: {
    deviceClassName,
    selectors: [{ cel: { expression: `device.attributes["${driver}"].model == "b"` } }],
  },
  both: { deviceClassName, allocationMode: 'ExactCount', count: 2 },
} as const;
const shared = 'shared';
const extendedResourceName = 'example.com/gpu';
const steps = ['create', 'create', 'create', 'delete', 'delete', 'why'] as const;

export class Devices implements Actor {
  readonly #user: User;
  readonly #pods: Made<Pod>;

  constructor(user: User) {
    this.#user = user;
    const make = (metadata: Named): Pod => newPod(metadata, user);
    this.#pods = new Made(user, { kind: pods, namespace, most: 6, stem: 'train', make });
  }

  async begin(signal: AbortSignal): Promise<void> {
    const user = this.#user;
    await user.createNamespace(namespace, signal);
    const selectors = [{ cel: { expression: `device.driver == "${driver}"` } }];
    const kind = 'DeviceClass';
    const metadata = { name: deviceClassName };
    const classSpec = { selectors, extendedResourceName };
    await user.create(deviceClasses, { apiVersion, kind, metadata, spec: classSpec }, signal);
    for (const nodeName of nodesWithDevices) {
      const pool = { name: nodeName, generation: 1, resourceSliceCount: 1 };
      const slice = { apiVersion, kind: 'ResourceSlice', metadata: { name: `${nodeName}-gpu` } };
      await user.create(
        resourceSlices,
        { ...slice, spec: { driver, nodeName, pool, devices } },
        signal,
      );
    }
    for (const [name, exactly] of Object.entries(wishes)) {
      const spec = { spec: { devices: { requests: [{ name: 'one', exactly }] } } };
      const template = { apiVersion, kind: 'ResourceClaimTemplate', metadata: { name, namespace } };
      await user.create(resourceClaimTemplates, { ...template, spec }, signal);
    }
    const spec = { devices: { requests: [{ name: 'one', exactly: wishes.any }] } };
    const claim = {
      apiVersion,
      kind: 'ResourceClaim',
      metadata: { name: shared, namespace },
      spec,
    };
    await user.create(resourceClaims, claim, signal);
    await this.#pods.create(signal);
  }

  async step(signal: AbortSignal): Promise<void> {
    const step = this.#user.choose(steps);
    const name = this.#pods.any();
    if (step === 'why') {
      return this.#user.askWhy(this.#user.truth.of<Pod>('Pod', namespace), signal);
    }
    if (step === 'create' || name === undefined) return this.#pods.create(signal);
    return this.#pods.delete(name, signal);
  }

  /** Pods that nobody owns go with their nodes: lost is no problem, to wait in vain is. */
  missing(): readonly string[] {
    const { truth } = this.#user;
    const problems = this.#pods.missing().filter((text) => !text.endsWith('is lost'));
    const claims = [...truth.of<ResourceClaim>('ResourceClaim', namespace)];
    const free = nodesWithDevices.length * devices.length - allocated(claims).length;
    const living = new Set<string | undefined>();
    for (const pod of truth.of<Pod>('Pod', namespace)) {
      const { name, uid } = pod.metadata;
      living.add(uid);
      if (pod.spec?.nodeName && isNamed(pod) && !isKept(pod, claims)) {
        problems.push(`pod ${name} has a node and no devices`);
      }
      if (isPodReady(pod) || pod.status?.phase === 'Failed') continue;
      const told = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
      if (pod.spec?.nodeName) problems.push(`pod ${name} is not ready`);
      else if (told?.reason !== 'Unschedulable') problems.push(`pod ${name} waits untold`);
      else if (isModest(pod) && free === nodesWithDevices.length * devices.length) {
        problems.push(`pod ${name} waits, and every device is free`);
      }
    }
    for (const { metadata, status } of claims) {
      for (const { uid, name } of status?.reservedFor ?? []) {
        if (!living.has(uid))
          problems.push(`claim ${metadata.name} is kept for ${name}, long gone`);
      }
      if (status?.allocation && (status.reservedFor ?? []).length === 0) {
        problems.push(`claim ${metadata.name} has devices for nobody`);
      }
      const owner = metadata.ownerReferences?.[0];
      if (owner === undefined || living.has(owner.uid)) continue;
      problems.push(`claim ${metadata.name} is there without ${owner.name}`);
    }
    return problems;
  }
}

/** Every device that is given to a claim, as `pool/device`. */
export function allocated(claims: readonly ResourceClaim[]): readonly string[] {
  return claims.flatMap(({ status }) =>
    (status?.allocation?.devices?.results ?? []).map(({ pool, device }) => `${pool}/${device}`),
  );
}

/** Any one device would do for it. */
function isModest(pod: Pod): boolean {
  const claims = pod.spec?.resourceClaims ?? [];
  return isNamed(pod) || claims.some((claim) => claim.resourceClaimTemplateName === 'any');
}

/** Asks for a device as an extended resource. */
function isNamed({ spec }: Pod): boolean {
  return (
    spec?.containers.some(({ resources }) => resources?.requests?.[extendedResourceName]) ?? false
  );
}

/** It has the claim that its status names. */
function isKept({ metadata, status }: Pod, claims: readonly ResourceClaim[]): boolean {
  if (status?.phase === 'Failed') return true;
  const name = status?.extendedResourceClaimStatus?.resourceClaimName;
  const claim = claims.find((one) => one.metadata.name === name);
  return (
    claim?.status?.allocation !== undefined &&
    (claim.status.reservedFor ?? []).some(({ uid }) => uid === metadata.uid)
  );
}

function newPod(metadata: Named, user: User): Pod {
  const template = user.choose([...Object.keys(wishes), undefined, extendedResourceName]);
  if (template === extendedResourceName) {
    const own = { [extendedResourceName]: '1' };
    const resources = { requests: { cpu: '10m', ...own }, limits: own };
    const containers = containersOf('10m').map((one) => ({ ...one, resources }));
    return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } };
  }
  const claim: PodResourceClaim =
    template === undefined
      ? { name: 'gpu', resourceClaimName: shared }
      : { name: 'gpu', resourceClaimTemplateName: template };
  const spec = { resourceClaims: [claim], containers: containersOf('10m') };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec };
}
