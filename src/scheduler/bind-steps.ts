/**
 * Writes what a pod needs before it may be bound, as its rules have planned: volumes become its
 * claims', whoever provisions learns the node, devices are allocated. Then waits until it is so.
 *
 * A volume that was prebound is left as it is. Waiting ends when the claims are bound, when the
 * pod or a claim is gone, when the provisioner gives up (it takes the node away again), or after
 * ten minutes; then the pod is decided anew.
 */
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import { persistentVolumeClaims, persistentVolumes } from '#resources/kinds.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import { volumeAnnotations } from '#resources/volumes/volume-matching.ts';
import { type BindStep, earlierClaim, type Facts } from '#scheduling';
import { deviceReadiness } from './device-readiness.ts';
import type { DeviceWriter } from './device-writer.ts';
import type { Placement } from './extension.ts';

export interface StepDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly facts: Facts;
  readonly devices: DeviceWriter;
}

export interface StepOptions {
  /** Within this time the claims of a pod must be bound. */
  readonly bindTimeoutMs: number;
  /** Within this time its devices must be ready. */
  readonly deviceTimeoutMs: number;
}

interface PerformOptions {
  readonly signal: AbortSignal;
  /** Instead of `signal` for what is being written: of a write that is cut off nobody knows. */
  readonly writing?: AbortSignal | undefined;
  /** The pod has to wait for its devices from now on. */
  readonly onDevices?: (() => void) | undefined;
  /** Gets what has been written so far. */
  readonly written?: Written | undefined;
}

export interface Written {
  /** Claims that have devices by now, by namespace and name. */
  readonly claims: string[];
  /** The pod that names a claim that was made for it: only so it may be bound. */
  pod?: Pod | undefined;
}

export const stepDefaults: StepOptions = { bindTimeoutMs: 600_000, deviceTimeoutMs: 600_000 };

const pollMs = 1_000;
/** So long the news of a claim that was written is waited for. */
const seenMsMax = 5_000;
const { boundByController, bindCompleted, selectedNode } = volumeAnnotations;

type VolumeStep = Exclude<BindStep, { do: 'allocateDevices' }>;

export class StepPerformer {
  readonly #deps: StepDeps;
  readonly #options: StepOptions;

  constructor(deps: StepDeps, options: StepOptions = stepDefaults) {
    this.#deps = deps;
    this.#options = options;
  }

  async perform(
    placement: Placement,
    steps: readonly BindStep[],
    options: PerformOptions,
  ): Promise<void> {
    const volumeSteps: VolumeStep[] = [];
    const { written = { claims: [] }, signal, writing = signal } = options;
    const { claims } = written;
    for (const step of steps) {
      signal.throwIfAborted();
      if (step.do === 'allocateDevices') {
        const made = await this.#deps.devices.write(placement, step, { signal: writing });
        claims.push(made.claim);
        written.pod = made.tells ?? written.pod;
      } else {
        volumeSteps.push(step);
        await this.#write(step, { signal: writing });
      }
    }
    if (volumeSteps.length > 0) await this.#untilBound(volumeSteps, options);
    if (claims.length > 0) await this.#untilReady(placement, claims, steps, options);
  }

  /**
   * The pod was not bound after all: what was reserved for it is free again. To be awaited before
   * its place is given back, since devices that are written and not seen yet would look free.
   */
  async undo(
    placement: Placement,
    steps: readonly BindStep[],
    options: { readonly signal: AbortSignal; readonly written: Written },
  ): Promise<void> {
    const { facts, devices } = this.#deps;
    const { pod, namespace, uid } = placement.pod;
    await this.untilSeen(uid, options);
    const { signal, written } = options;
    const claims = facts.resourceClaims;
    for (const step of steps) {
      if (step.do !== 'allocateDevices') continue;
      const release = { signal, allocatedHere: step.allocation !== undefined };
      if (step.make === undefined) {
        const claim = claims.get(step.claim);
        const mine = claim?.status?.reservedFor?.some((one) => one.uid === uid);
        if (claim === undefined || !(mine || written.claims.includes(step.claim))) continue;
        await devices.release(placement, claim, release);
        continue;
      }
      for (const claim of [...claims.listNamespace(namespace)]) {
        const isMade = earlierClaim(pod, [claim]) !== undefined;
        if (isMade) await devices.release(placement, claim, release);
      }
    }
  }

  /** Until the informers show that the claims are reserved for the pod, or long enough. */
  async untilSeen(
    uid: string,
    { written, signal }: { readonly written: Written; readonly signal: AbortSignal },
  ): Promise<void> {
    const { clock, facts } = this.#deps;
    for (const key of written.claims) {
      const endMs = clock.monotonic() + seenMsMax;
      while (clock.monotonic() < endMs) {
        const { reservedFor = [] } = facts.resourceClaims.get(key)?.status ?? {};
        if (reservedFor.some((one) => one.uid === uid)) break;
        await clock.sleep(pollMs, { signal });
      }
    }
  }

  /** Devices can have conditions of their own; where one fails, others are looked for. */
  async #untilReady(
    { pod: { uid } }: Placement,
    claims: readonly string[],
    steps: readonly BindStep[],
    { signal, onDevices }: PerformOptions,
  ): Promise<void> {
    const { clock, facts, devices } = this.#deps;
    const endMs = clock.monotonic() + this.#options.deviceTimeoutMs;
    const promised = steps.flatMap((step) => {
      if (step.do !== 'allocateDevices') return [];
      const { allocation } = facts.resourceClaims.get(step.claim)?.status ?? {};
      return [...(step.allocation?.devices ?? []), ...(allocation?.devices?.results ?? [])];
    });
    if (!promised.some(({ bindingConditions = [] }) => bindingConditions.length > 0)) return;
    onDevices?.();
    for (;;) {
      const readiness = claims.map((key) => deviceReadiness(facts.resourceClaims.get(key)));
      const waiting = readiness.findIndex((one) => one.do !== 'go on');
      if (waiting < 0) return;
      const failed = readiness.find((one) => one.do === 'give up');
      if (failed === undefined && clock.monotonic() < endMs) {
        await clock.sleep(pollMs, { signal });
        continue;
      }
      for (const [index, key] of claims.entries()) {
        const claim = facts.resourceClaims.get(key);
        // What is ready may be had again; what others use as well is theirs.
        const isShared = claim?.status?.reservedFor?.some((one) => one.uid !== uid);
        if (claim === undefined || isShared || readiness[index]?.do === 'go on') continue;
        await devices.free(claim, { signal, uid });
      }
      const name = claims[waiting]?.split('/')[1];
      throw new Error(failed?.why ?? `device binding timeout: claim=${name}`);
    }
  }

  async #write(step: VolumeStep, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { client, facts } = this.#deps;
    const claim = facts.persistentVolumeClaims.get(step.claim);
    if (claim === undefined) throw new Error(`claim ${step.claim} is gone`);
    if (step.do === 'bindVolume') {
      const volume = facts.persistentVolumes.get(step.volume);
      if (volume === undefined) throw new Error(`volume ${step.volume} is gone`);
      await client.update(persistentVolumes, claimed(volume, claim), { signal });
      return;
    }
    if (claim.metadata.annotations?.[selectedNode] === step.node) return;
    const { namespace, name = '', uid, resourceVersion } = claim.metadata;
    const annotations = { [selectedNode]: step.node };
    const patch = { metadata: { uid, resourceVersion, annotations } };
    const type = 'merge';
    await client.patch(persistentVolumeClaims, { namespace, name }, patch, { type, signal });
  }

  async #untilBound(
    steps: readonly VolumeStep[],
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    const { clock } = this.#deps;
    const endMs = clock.monotonic() + this.#options.bindTimeoutMs;
    const seen = new Set<VolumeStep>();
    while (!steps.every((step) => this.#isBound(step, seen))) {
      if (clock.monotonic() >= endMs) throw new Error('binding volumes: context deadline exceeded');
      await clock.sleep(pollMs, { signal });
    }
  }

  /** Throws where it will never be. `seen`: claims on which our node has been seen. */
  #isBound(step: VolumeStep, seen: Set<VolumeStep>): boolean {
    const claim = this.#deps.facts.persistentVolumeClaims.get(step.claim);
    if (claim === undefined) throw new Error(`claim ${step.claim} is gone`);
    if (isComplete(claim)) return true;
    if (step.do === 'selectNode') {
      const node = claim.metadata.annotations?.[selectedNode];
      if (node === step.node) seen.add(step);
      else if (seen.has(step)) {
        throw new Error(`provisioning failed for PVC "${claim.metadata.name}"`);
      }
    }
    return false;
  }
}

function isComplete({ metadata, spec }: PersistentVolumeClaim): boolean {
  return Boolean(spec?.volumeName) && metadata.annotations?.[bindCompleted] !== undefined;
}

function claimed(volume: PersistentVolume, claim: PersistentVolumeClaim): PersistentVolume {
  const { name, namespace, uid, resourceVersion } = claim.metadata;
  const { apiVersion, kind } = claim;
  const claimRef = { apiVersion, kind, name, namespace, uid, resourceVersion };
  // A volume that somebody bound beforehand stays theirs: the mark is only for our own choice.
  const annotations =
    volume.spec?.claimRef === undefined
      ? { ...volume.metadata.annotations, [boundByController]: 'yes' }
      : volume.metadata.annotations;
  return {
    ...volume,
    metadata: { ...volume.metadata, annotations },
    spec: { ...volume.spec, claimRef },
  };
}
