/**
 * Amounts of resources as plain numbers, so that fitting a pod is a handful of comparisons.
 *
 * CPU counts in thousandths of a core, all else in whole units; fractions round up, as a request
 * that needs a part of a unit needs the unit. Extended resources (GPUs, huge pages) go by name.
 *
 * A pod asks for the larger of two sums: what runs for its whole life (its containers, and init
 * containers that restart always), and, for each init container in turn, that container beside the
 * always-restarting ones that started before it. Overhead comes on top.
 * Example: init 1 cpu, containers 200m and 200m: the pod asks for 1 cpu.
 *
 * While a running pod is being resized, what its node has given it counts as long as it is more
 * than what is asked for now; what the node can never give does not count.
 *
 * Behaviour: kubernetes.io, "Init Containers" (resource sharing), KEP-753, KEP-2837, KEP-688,
 * KEP-1287, KEP-5419.
 */
import { quantityMilliValue, quantityValue } from '#api/quantity.ts';
import type { Container, ContainerStatus, PodSpec, PodStatus } from '#resources/types/core-v1.ts';

export interface Amounts {
  milliCPU: number;
  memory: number;
  ephemeralStorage: number;
  /** Everything else by name; undefined while there is nothing. */
  others: Map<string, number> | undefined;
}

export type ResourceList = Readonly<Record<string, string>>;

export function noAmounts(): Amounts {
  return { milliCPU: 0, memory: 0, ephemeralStorage: 0, others: undefined };
}

export function amountsOf(list: ResourceList | undefined): Amounts {
  const amounts = noAmounts();
  for (const [name, text] of Object.entries(list ?? {}))
    setAmount(amounts, name, amountOf(name, text));
  return amounts;
}

export function amountOf(name: string, text: string): number {
  return name === 'cpu' ? quantityMilliValue(text) : quantityValue(text);
}

/** Adds `times` times `more`; −1 takes away. */
export function addAmounts(to: Amounts, more: Amounts, times = 1): void {
  to.milliCPU += times * more.milliCPU;
  to.memory += times * more.memory;
  to.ephemeralStorage += times * more.ephemeralStorage;
  if (more.others === undefined) return;
  to.others ??= new Map();
  for (const [name, amount] of more.others) {
    to.others.set(name, (to.others.get(name) ?? 0) + times * amount);
  }
}

/** What the pod asks for; `fill` may complete one container's requests (see `nonZeroRequests`). */
export function podRequests(
  spec: PodSpec,
  status: PodStatus | undefined = undefined,
  fill: (requests: ResourceList) => ResourceList = (requests) => requests,
): Amounts {
  const given = givenBy(status);
  const requestsOf = (container: Container): Amounts => {
    const asked = amountsOf(fill(container.resources?.requests ?? {}));
    const held = given?.get(container.name);
    return held === undefined ? asked : largest(asked, held, status);
  };
  const running = noAmounts();
  const peak = noAmounts();
  for (const container of spec.initContainers ?? []) {
    const requests = requestsOf(container);
    if (container.restartPolicy === 'Always') {
      addAmounts(running, requests);
      raiseTo(peak, running);
    } else {
      addAmounts(requests, running);
      raiseTo(peak, requests);
    }
  }
  for (const container of spec.containers) addAmounts(running, requestsOf(container));
  raiseTo(running, peak);
  // Requests of the pod as a whole replace the sum of its containers.
  const whole = Object.entries(spec.resources?.requests ?? {});
  for (const [name, text] of whole) setAmount(running, name, amountOf(name, text));
  addAmounts(running, amountsOf(spec.overhead));
  if (status?.resources === undefined || whole.length === 0) return running;
  // What its node says of it has the overhead in it already.
  const { others } = running;
  const asked = { ...running, others: others === undefined ? undefined : new Map(others) };
  const held = largest(asked, status, status);
  for (const [name] of whole) setAmount(running, name, amountIn(held, name));
  return running;
}

/**
 * The same for scoring, where a container that names no request counts as a small one: else any
 * number of such pods would look free and pile up on one node.
 */
export function nonZeroRequests(spec: PodSpec, status?: PodStatus): Amounts {
  return podRequests(spec, status, (requests) => ({ cpu: '100m', memory: '200Mi', ...requests }));
}

/** Containers whose node says what it has given them; undefined where none does. */
function givenBy(status: PodStatus | undefined): ReadonlyMap<string, ContainerStatus> | undefined {
  let given: Map<string, ContainerStatus> | undefined;
  for (const statuses of [status?.initContainerStatuses, status?.containerStatuses]) {
    for (const one of statuses ?? []) {
      if (one.allocatedResources === undefined && one.resources?.requests === undefined) continue;
      given ??= new Map();
      given.set(one.name, one);
    }
  }
  return given;
}

function largest(
  asked: Amounts,
  held: Pick<ContainerStatus, 'allocatedResources' | 'resources'>,
  status: PodStatus | undefined,
): Amounts {
  const amounts = isResizeInfeasible(status) ? noAmounts() : asked;
  raiseTo(amounts, amountsOf(held.allocatedResources));
  raiseTo(amounts, amountsOf(held.resources?.requests));
  return amounts;
}

/** The node can never give what is asked for now. */
export function isResizeInfeasible(status: PodStatus | undefined): boolean {
  return (status?.conditions ?? []).some(
    ({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible',
  );
}

function raiseTo(amounts: Amounts, least: Amounts): void {
  amounts.milliCPU = Math.max(amounts.milliCPU, least.milliCPU);
  amounts.memory = Math.max(amounts.memory, least.memory);
  amounts.ephemeralStorage = Math.max(amounts.ephemeralStorage, least.ephemeralStorage);
  if (least.others === undefined) return;
  amounts.others ??= new Map();
  for (const [name, amount] of least.others) {
    amounts.others.set(name, Math.max(amounts.others.get(name) ?? 0, amount));
  }
}

function amountIn(amounts: Amounts, name: string): number {
  if (name === 'cpu') return amounts.milliCPU;
  if (name === 'memory') return amounts.memory;
  return name === 'ephemeral-storage' ? amounts.ephemeralStorage : (amounts.others?.get(name) ?? 0);
}

function setAmount(amounts: Amounts, name: string, amount: number): void {
  if (name === 'cpu') amounts.milliCPU = amount;
  else if (name === 'memory') amounts.memory = amount;
  else if (name === 'ephemeral-storage') amounts.ephemeralStorage = amount;
  else {
    amounts.others ??= new Map();
    amounts.others.set(name, amount);
  }
}
