/**
 * Limits of cgroups that belong to no single pod: all pods together may use what is not reserved,
 * the cgroups of system and kubelet what is reserved for them, and the classes of pods share the
 * processors by what their pods ask for.
 *
 * `planEnforcement` and `planShares` decide (pure); `NodeCgroups` writes. `kubelet.ts` calls it at
 * its start and when pods come and go. Behaviour: kubernetes.io, Reserve Compute Resources.
 */
import { quantityMilliValue, quantityValue, subtractQuantities } from '#api/quantity.ts';
import type { Recorder } from '#client';
import type { Clock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import type { Logger } from '#kit/log.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import {
  cpuSharesMax,
  cpuSharesMin,
  hugepagesIn,
  pageSizeOf,
  podCgroup,
  qosClassOf,
  sharesOf,
} from '../pods/qos.ts';
import type { KubeletSettings } from '../settings.ts';
import type { CgroupLimits } from './cgroups.ts';
import type { Machine } from './machine.ts';
import { readProcesses } from './node-figures.ts';

type Amounts = Readonly<Record<string, string>>;

export interface Enforcement {
  readonly what: 'pods' | 'System Reserved' | 'Kube Reserved';
  readonly cgroup: string;
  readonly limits: CgroupLimits;
  /** It is somebody else's, and has to be there. */
  readonly mustExist: boolean;
  readonly isCompressible: boolean;
}

const limits = { retryMs: 60_000 } as const;

/** What pods may have in all: thresholds of eviction stay in it, so that they can be crossed. */
export function unreserved(name: string, capacity: Amounts, settings: KubeletSettings): string {
  const { systemReserved, kubeReserved } = settings;
  const reserved = [systemReserved[name] ?? '0', kubeReserved[name] ?? '0'];
  return reserved.reduce(subtractQuantities, capacity[name] ?? '0');
}

export function planEnforcement(
  { capacity, podsCgroup }: { readonly capacity: Amounts; readonly podsCgroup: string },
  settings: KubeletSettings,
): readonly Enforcement[] {
  const { enforceNodeAllocatable: levels } = settings;
  const limitsOf = limitsFor(capacity);
  const forPods = levels.includes('pods')
    ? Object.fromEntries(
        Object.keys(capacity).map((name) => [name, unreserved(name, capacity, settings)]),
      )
    : capacity;
  const plan: Enforcement[] = [
    {
      ...{ what: 'pods', cgroup: podsCgroup, limits: limitsOf(forPods) },
      ...{ mustExist: false, isCompressible: false },
    },
  ];
  for (const isCompressible of [false, true]) {
    const ending = isCompressible ? '-compressible' : '';
    const add = (what: Enforcement['what'], cgroup: string, reserved: Amounts): void => {
      const all = limitsOf(reserved);
      const set = isCompressible ? { cpuShares: all.cpuShares } : all;
      plan.push({ what, cgroup, limits: set, mustExist: true, isCompressible });
    };
    if (levels.includes(`system-reserved${ending}`)) {
      add('System Reserved', settings.systemReservedCgroup, settings.systemReserved);
    }
    if (levels.includes(`kube-reserved${ending}`)) {
      add('Kube Reserved', settings.kubeReservedCgroup, settings.kubeReserved);
    }
  }
  return plan;
}

/** Of every size of huge pages that the node has: what is not named is nothing. */
function limitsFor(capacity: Amounts): (amounts: Amounts) => CgroupLimits {
  const sizes = hugepagesIn(capacity);
  return (amounts) => {
    const { cpu, memory, pid } = amounts;
    const pages = sizes.map(
      (name) => [pageSizeOf(name), quantityValue(amounts[name] ?? '0')] as const,
    );
    return {
      cpuShares: cpu === undefined ? undefined : sharesOf(quantityMilliValue(cpu)),
      memoryLimitBytes: memory === undefined ? undefined : quantityValue(memory),
      pidsMax: pid === undefined ? undefined : quantityValue(pid),
      hugepages: Object.fromEntries(pages),
    };
  };
}

/** Of the classes that have cgroups of their own: BestEffort gets what nobody else wants. */
export function planShares(
  pods: readonly Pod[],
): Readonly<Record<'burstable' | 'besteffort', number>> {
  const burstable = pods.filter((pod) => qosClassOf(pod) === 'Burstable');
  const asked = burstable.map((pod) => podCgroup(pod).cpuShares);
  const sum = asked.reduce((total, shares) => total + shares, 0);
  // More than 256 processors are more than the kernel tells apart, and refuses.
  const all = Math.min(Math.max(sum, cpuSharesMin), cpuSharesMax);
  return { burstable: all, besteffort: cpuSharesMin };
}

export interface NodeCgroupsDeps {
  readonly machine: Machine;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: Pick<Recorder, 'record'>;
  readonly node: () => Node;
}

export class NodeCgroups {
  readonly #deps: NodeCgroupsDeps;
  readonly #podsCgroup: string;
  /** Of the classes: what is to be, and what was written last. */
  #wanted: Readonly<Record<string, number>> = {};
  #shares = '';
  #sharing = Promise.resolve();

  constructor(deps: NodeCgroupsDeps, { cgroupRoot }: { readonly cgroupRoot: string }) {
    this.#deps = deps;
    this.#podsCgroup = `${cgroupRoot}/kubepods`;
  }

  /** Throws where a cgroup that was named is not there, with which no kubelet starts. */
  async enforceReserved(capacity: Amounts, settings: KubeletSettings): Promise<void> {
    const { machine } = this.#deps;
    for (const each of this.#plan(capacity, settings)) {
      if (!each.mustExist) continue;
      const { what, cgroup } = each;
      const name = each.isCompressible ? `${what} Compressible` : what;
      try {
        const missing = machine.cgroups.missing(cgroup);
        if (missing.length > 0) {
          const parts = cgroup.split('/').filter((part) => part !== '');
          const quoted = parts.map((part) => JSON.stringify(part)).join(' ');
          const what = machine.cgroups.version === 1 ? 'paths' : 'controllers';
          throw new Error(`cgroup [${quoted}] has some missing ${what}: ${missing.join(', ')}`);
        }
        await machine.cgroups.limit(cgroup, each.limits);
      } catch (error) {
        const why = messageOf(error);
        const message = `Failed to enforce ${name} Cgroup Limits on "${cgroup}": ${why}`;
        this.#say('Warning', 'FailedNodeAllocatableEnforcement', message);
        throw new Error(`Failed to start ContainerManager: ${message}`, { cause: error });
      }
      const message = `Updated limits on ${what.toLowerCase()} cgroup ${cgroup}`;
      this.#say('Normal', 'NodeAllocatableEnforced', message);
    }
  }

  /** Until the kernel takes it: pods that use more have to be evicted first. */
  async enforcePods(
    capacity: Amounts,
    settings: KubeletSettings,
    signal: AbortSignal,
  ): Promise<void> {
    const { machine, clock } = this.#deps;
    const [pods] = this.#plan(capacity, settings);
    for (;;) {
      try {
        if (pods !== undefined) await machine.cgroups.limit(pods.cgroup, pods.limits);
        const message = 'Updated Node Allocatable limit across pods';
        this.#say('Normal', 'NodeAllocatableEnforced', message);
        return;
      } catch (error) {
        const why = messageOf(error);
        const message = `Failed to update Node Allocatable Limits ["kubepods"]: ${why}`;
        this.#say('Warning', 'FailedNodeAllocatableEnforcement', message);
      }
      await clock.sleep(limits.retryMs, { signal });
    }
  }

  /** Called when pods come and go; writes only what has changed, one after the other. */
  share(pods: readonly Pod[]): Promise<void> {
    this.#wanted = planShares(pods);
    this.#sharing = this.#sharing.then(() => this.#share());
    return this.#sharing;
  }

  async #share(): Promise<void> {
    const { machine, log } = this.#deps;
    const shares = this.#wanted;
    const text = JSON.stringify(shares);
    if (text === this.#shares) return;
    try {
      for (const [name, cpuShares] of Object.entries(shares)) {
        await machine.cgroups.limit(`${this.#podsCgroup}/${name}`, { cpuShares });
      }
      this.#shares = text;
    } catch (error) {
      log.warn('cannot share the processors among classes of pods', { error });
    }
  }

  /** What all pods use, in memory that could not be had back at once. */
  get workingSetBytes(): number | undefined {
    return this.#deps.machine.cgroups.workingSetBytes(this.#podsCgroup);
  }

  /** Processes are no resource of the node's, but the kernel has only so many. */
  #plan(capacity: Amounts, settings: KubeletSettings): readonly Enforcement[] {
    const { most } = readProcesses(this.#deps.machine);
    const all = most === 0 ? capacity : { ...capacity, pid: String(most) };
    return planEnforcement({ capacity: all, podsCgroup: this.#podsCgroup }, settings);
  }

  #say(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#deps.recorder.record(this.#deps.node(), { type, reason, message });
  }
}
