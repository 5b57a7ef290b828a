/**
 * A node with the pods placed on it and the sums over them, kept up to date pod by pod.
 *
 * The rules read it; the scheduler's cache owns it and changes it between two decisions. `node` is
 * undefined while only pods of a node are known and not yet (or no longer) the node itself.
 */
import type { Node, Taint } from '#resources/types/core-v1.ts';
import { type Amounts, addAmounts, amountOf, amountsOf, noAmounts } from './amounts.ts';
import { type HostPort, type PodFacts, withTag } from './pod-facts.ts';

const noLabels: Readonly<Record<string, string>> = {};

export class NodeInfo {
  readonly name: string;
  readonly pods = new Map<string, PodFacts>();
  readonly requested: Amounts = noAmounts();
  readonly nonZeroRequested: Amounts = noAmounts();
  /** `namespace/name` of claims in use → by how many pods. */
  readonly claims = new Map<string, number>();
  /** Host ports in use: `TCP/8080` → address → how many pods (one, unless forced by hand). */
  readonly #ports = new Map<string, Map<string, number>>();
  #node: Node | undefined;
  #isCordoned = false;
  #allocatable: Amounts = noAmounts();
  #allowedPods = 0;
  #hardTaints: readonly Taint[] = [];
  #softTaints: readonly Taint[] = [];
  #images: ReadonlyMap<string, number> = new Map();

  constructor(name: string) {
    this.name = name;
  }

  get node(): Node | undefined {
    return this.#node;
  }

  /** `spec.unschedulable` */
  get isCordoned(): boolean {
    return this.#isCordoned;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#node?.metadata.labels ?? noLabels;
  }

  get allocatable(): Readonly<Amounts> {
    return this.#allocatable;
  }

  get allowedPods(): number {
    return this.#allowedPods;
  }

  /** NoSchedule and NoExecute: they keep pods away. */
  get hardTaints(): readonly Taint[] {
    return this.#hardTaints;
  }

  /** PreferNoSchedule: they only count against the node. */
  get softTaints(): readonly Taint[] {
    return this.#softTaints;
  }

  /** Image name with tag → size in bytes. */
  get images(): ReadonlyMap<string, number> {
    return this.#images;
  }

  setNode(node: Node | undefined): void {
    const before = this.#node;
    this.#node = node;
    this.#isCordoned = node?.spec?.unschedulable === true;
    if (before?.status?.allocatable !== node?.status?.allocatable) {
      const { pods, ...rest } = node?.status?.allocatable ?? {};
      this.#allocatable = amountsOf(rest);
      this.#allowedPods = pods === undefined ? 0 : amountOf('pods', pods);
    }
    const taints = node?.spec?.taints ?? [];
    this.#hardTaints = taints.filter((t) => t.effect === 'NoSchedule' || t.effect === 'NoExecute');
    this.#softTaints = taints.filter((t) => t.effect === 'PreferNoSchedule');
    if (before?.status?.images !== node?.status?.images) this.#images = imagesOf(node);
  }

  /** A copy to try things on, which nobody else sees. */
  clone(): NodeInfo {
    const copy = new NodeInfo(this.name);
    copy.#node = this.#node;
    copy.#isCordoned = this.#isCordoned;
    copy.#allocatable = this.#allocatable;
    copy.#allowedPods = this.#allowedPods;
    copy.#hardTaints = this.#hardTaints;
    copy.#softTaints = this.#softTaints;
    copy.#images = this.#images;
    for (const [uid, pod] of this.pods) copy.pods.set(uid, pod);
    addAmounts(copy.requested, this.requested);
    addAmounts(copy.nonZeroRequested, this.nonZeroRequested);
    for (const [claim, users] of this.claims) copy.claims.set(claim, users);
    for (const [name, addresses] of this.#ports) copy.#ports.set(name, new Map(addresses));
    return copy;
  }

  addPod(pod: PodFacts): void {
    this.pods.set(pod.uid, pod);
    this.#count(pod, 1);
  }

  removePod(uid: string): PodFacts | undefined {
    const pod = this.pods.get(uid);
    if (pod === undefined) return undefined;
    this.pods.delete(uid);
    this.#count(pod, -1);
    return pod;
  }

  /** Whether another pod holds this port: same protocol and number, and an address in common. */
  hasPort({ protocol, ip, port }: HostPort): boolean {
    const addresses = this.#ports.get(`${protocol}/${port}`);
    if (addresses === undefined || addresses.size === 0) return false;
    return ip === '0.0.0.0' || addresses.has('0.0.0.0') || addresses.has(ip);
  }

  #count(pod: PodFacts, times: 1 | -1): void {
    addAmounts(this.requested, pod.requests, times);
    addAmounts(this.nonZeroRequested, pod.nonZeroRequests, times);
    if (pod.claims.length > 0) this.#countClaims(pod, times);
    if (pod.hostPorts.length > 0) this.#countPorts(pod, times);
  }

  #countClaims(pod: PodFacts, times: 1 | -1): void {
    for (const { name } of pod.claims) {
      const key = `${pod.namespace}/${name}`;
      const users = (this.claims.get(key) ?? 0) + times;
      if (users > 0) this.claims.set(key, users);
      else this.claims.delete(key);
    }
  }

  #countPorts(pod: PodFacts, times: 1 | -1): void {
    for (const { protocol, ip, port } of pod.hostPorts) {
      const name = `${protocol}/${port}`;
      const addresses = this.#ports.get(name) ?? new Map<string, number>();
      const holders = (addresses.get(ip) ?? 0) + times;
      if (holders > 0) addresses.set(ip, holders);
      else addresses.delete(ip);
      if (addresses.size > 0) this.#ports.set(name, addresses);
      else this.#ports.delete(name);
    }
  }
}

function imagesOf(node: Node | undefined): ReadonlyMap<string, number> {
  const images = new Map<string, number>();
  for (const { names, sizeBytes } of node?.status?.images ?? []) {
    for (const name of names ?? []) images.set(withTag(name), sizeBytes ?? 0);
  }
  return images;
}
