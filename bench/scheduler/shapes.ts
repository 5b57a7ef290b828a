/**
 * The shapes of upstream's scheduler_perf: how many nodes, what runs already, what is scheduled.
 *
 * `floor` is the rate below which upstream's own CI fails, on its machines; a sanity check here; 0
 * where upstream has none (PreemptionBasic, which has 1,000 nodes there).
 */
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';

export interface Shape {
  readonly name: string;
  /** Pods per second. */
  readonly floor: number;
  readonly nodes: number;
  /** Placed before anything is measured, on nodes in turn. */
  readonly placed: number;
  readonly placedPod: (index: number) => Pod;
  readonly measured: number;
  readonly measuredPod: (index: number) => Pod;
  /** Made meanwhile, one after another, so often; not measured themselves. */
  readonly meanwhile?: { readonly everyMs: number; readonly pod: (index: number) => Pod };
}

const zone = 'topology.kubernetes.io/zone';
const region = 'topology.kubernetes.io/region';
const hostname = 'kubernetes.io/hostname';
export const namespace = 'measured';

export function nodeOf(index: number): Node {
  const name = `node-${index}`;
  const labels = { [hostname]: name, [zone]: `moon-${(index % 3) + 1}`, [region]: 'region1' };
  const capacity = { pods: '110', cpu: '4', memory: '32Gi' };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    status: {
      capacity,
      allocatable: capacity,
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

function podOf(
  name: string,
  requests: Readonly<Record<string, string>>,
  more: Partial<PodSpec> = {},
  labels: Readonly<Record<string, string>> = {},
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      // Nobody removes the taint of a new node here.
      tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists' }],
      containers: [{ name: 'pause', image: 'pause:1', resources: { requests } }],
      terminationGracePeriodSeconds: 0,
      ...more,
    },
  };
}

const usual = { cpu: '100m', memory: '500Mi' };

function colored(name: string, color: string, more: Partial<PodSpec>): Pod {
  return podOf(name, usual, more, { color });
}

function near(color: string): Partial<PodSpec> {
  const term = { labelSelector: { matchLabels: { color } }, topologyKey: region };
  return {
    affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
  };
}

function apart(color: string): Partial<PodSpec> {
  const term = { labelSelector: { matchLabels: { color } }, topologyKey: hostname };
  return {
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
  };
}

function spread(color: string): Partial<PodSpec> {
  const constraint = {
    maxSkew: 5,
    topologyKey: zone,
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { color } },
  };
  return { topologySpreadConstraints: [constraint] };
}

function choosing(): Partial<PodSpec> {
  const expression = { key: zone, operator: 'In', values: ['moon-1', 'moon-2'] };
  const nodeSelectorTerms = [{ matchExpressions: [expression] }];
  return {
    affinity: {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
    },
  };
}

export function shapesOf({ small }: { readonly small: boolean }): readonly Shape[] {
  const nodes = small ? 100 : 5_000;
  const measured = small ? 90 : 2_000;
  const placed = small ? 10 : 1_000;
  const shape = (
    name: string,
    floor: number,
    pod: (name: string) => Pod,
    placedPod = pod,
  ): Shape => ({
    name,
    floor,
    nodes,
    placed,
    placedPod: (index) => placedPod(`placed-${index}`),
    measured,
    measuredPod: (index) => pod(`pod-${index}`),
  });
  const basic = (name: string): Pod => podOf(name, usual);
  return [
    shape('SchedulingBasic', 270, basic),
    shape('PodAffinity', 35, (name) => colored(name, 'blue', near('blue'))),
    shape('PodAntiAffinity', 60, (name) => colored(name, 'green', apart('green'))),
    shape('TopologySpreading', 85, (name) => colored(name, 'blue', spread('blue')), basic),
    shape('NodeAffinity', 220, (name) => podOf(name, usual, choosing())),
    {
      name: 'Preemption',
      floor: 0,
      nodes: small ? 20 : 1_000,
      placed: small ? 80 : 4_000,
      placedPod: low,
      measured: small ? 20 : 1_000,
      measuredPod: high,
    },
    {
      name: 'PreemptionAsync',
      floor: 160,
      nodes: small ? 20 : 5_000,
      placed: small ? 80 : 20_000,
      placedPod: low,
      measured: small ? 80 : 5_000,
      measuredPod: (index) => basic(`pod-${index}`),
      meanwhile: { everyMs: 200, pod: high },
    },
  ];
}

/** Four of them fill a node to 3.6 of its 4 cores. */
function low(index: number): Pod {
  return podOf(`low-${index}`, { cpu: '900m', memory: '500Mi' });
}

/** Fits only where three of those go. */
function high(index: number): Pod {
  return podOf(`high-${index}`, { cpu: '3', memory: '500Mi' }, { priorityClassName: 'high' });
}
