/** Where pods fit, rule by rule: tables of facts and the verdicts that they must give. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod, PodSpec, Taint } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { amountsOf, nonZeroRequests, podRequests } from './amounts.ts';
import { matchesTerm } from './node-selector.ts';
import {
  Cluster,
  type ClusterChange,
  changeHelps,
  defaultProfile,
  NodeInfo,
  openPlugins,
  type PodFacts,
  podFacts,
  prepare,
  scoreNodes,
  type Trial,
} from './scheduling.ts';
import { tolerates } from './tolerations.ts';

const profile = defaultProfile();

function pod(spec: Partial<PodSpec> = {}, name = 'web'): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: `uid-${name}` },
    spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec },
  };
}

function asking(requests: Record<string, string>): Partial<PodSpec> {
  return { containers: [{ name: 'c', image: 'nginx', resources: { requests } }] };
}

function node(name: string, more: Partial<Node> = {}): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name }, ...more.metadata },
    spec: more.spec ?? {},
    status: { allocatable: { cpu: '4', memory: '8Gi', pods: '110' }, ...more.status },
  };
}

function info(of: Node, ...pods: readonly Pod[]): NodeInfo {
  const made = new NodeInfo(of.metadata.name ?? '');
  made.setNode(of);
  for (const one of pods) made.addPod(podFacts(one));
  return made;
}

function trialOf(of: Pod): Trial {
  const prepared = prepare(profile, podFacts(of), new Cluster());
  assert.ok(prepared.do === 'ask');
  return prepared.trial;
}

function scores(pod: PodFacts, on: readonly NodeInfo[], cluster = new Cluster()) {
  return [...scoreNodes(profile, { pod, cluster }, on)];
}

function helps(change: ClusterChange, pod: PodFacts, rejectedBy: ReadonlySet<string>): boolean {
  return changeHelps(profile, change, { pod, cluster: new Cluster(), rejectedBy });
}

function objection(of: Pod, on: NodeInfo): readonly [string, ...(string | boolean)[]] | undefined {
  const found = trialOf(of).objection(on);
  if (found === undefined) return undefined;
  return [found.plugin, ...found.verdict.reasons, found.verdict.unresolvable];
}

test('a pod asks for the larger of its init containers and its containers', () => {
  covers('SCH-019');
  const container = (name: string, cpu: string, restartPolicy?: string) => ({
    name,
    image: 'x',
    resources: { requests: { cpu } },
    ...(restartPolicy === undefined ? {} : { restartPolicy }),
  });
  const table: readonly [Partial<PodSpec>, number][] = [
    [{ containers: [container('a', '200m'), container('b', '200m')] }, 400],
    [{ initContainers: [container('i', '1')], containers: [container('a', '200m')] }, 1000],
    [{ initContainers: [container('i', '100m')], containers: [container('a', '200m')] }, 200],
    // A sidecar runs beside the containers, and beside the init containers after it.
    [
      {
        initContainers: [container('s', '100m', 'Always'), container('i', '1')],
        containers: [container('a', '200m')],
      },
      1100,
    ],
    [
      {
        initContainers: [container('i', '1'), container('s', '100m', 'Always')],
        containers: [container('a', '950m')],
      },
      1050,
    ],
    [{ containers: [container('a', '200m')], overhead: { cpu: '50m' } }, 250],
    [{ containers: [container('a', '200m')], resources: { requests: { cpu: '1' } } }, 1000],
  ];
  for (const [spec, milliCPU] of table) {
    assert.equal(podRequests({ containers: [], ...spec }).milliCPU, milliCPU);
  }
  const two = ['a', 'b'].map((name) => ({
    ...{ name, image: 'x' },
    resources: { requests: { cpu: '250m', memory: '64Mi' }, limits: { cpu: '1', memory: '1Gi' } },
  }));
  const { milliCPU, memory } = podRequests({ containers: two });
  assert.deepEqual([milliCPU, memory], [500, 128 * 1024 ** 2]);
});

test('while a pod is resized the larger of what it asks for and what it has been given counts', () => {
  const requests = { cpu: '500m' };
  const spec = { containers: [{ name: 'c', resources: { requests } }] };
  const given = (cpu: string, more: object = {}) => ({
    containerStatuses: [
      {
        ...{ name: 'c', image: 'x', imageID: '', ready: true, restartCount: 0 },
        allocatedResources: { cpu },
      },
    ],
    ...more,
  });
  assert.equal(podRequests(spec, given('800m')).milliCPU, 800);
  assert.equal(podRequests(spec, given('200m')).milliCPU, 500);
  const conditions = [{ type: 'PodResizePending', status: 'True', reason: 'Infeasible' }];
  assert.equal(podRequests(spec, given('200m', { conditions })).milliCPU, 200);
});

test('while a pod as a whole is resized, the same holds for what it asks for itself', () => {
  const spec = {
    containers: [{ name: 'c', resources: { requests: { cpu: '100m', memory: '1Mi' } } }],
    resources: { requests: { cpu: '500m', 'hugepages-2Mi': '2Mi' } },
    overhead: { cpu: '10m', memory: '1Mi' },
  };
  const told = (cpu: string, more: object = {}) => {
    const { milliCPU, memory, others } = podRequests(spec, {
      resources: { requests: { cpu: '300m', memory: '9Mi' } },
      ...{ allocatedResources: { cpu, memory: '9Mi', 'hugepages-2Mi': '4Mi' }, ...more },
    });
    return [milliCPU, memory / 1024 ** 2, (others?.get('hugepages-2Mi') ?? 0) / 1024 ** 2];
  };
  assert.deepEqual(told('800m'), [800, 2, 4], 'not yet given up');
  assert.deepEqual(told('200m'), [510, 2, 4], 'not yet given');
  const conditions = [{ type: 'PodResizePending', status: 'True', reason: 'Infeasible' }];
  assert.deepEqual(told('200m', { conditions }), [300, 2, 4], 'never given');
  const before = podRequests(spec, { allocatedResources: { cpu: '800m' } });
  assert.equal(before.milliCPU, 510, 'a node that tells nothing of pods as a whole');
});

test('amounts round up, extended resources go by name, and nothing counts as a little', () => {
  const amounts = amountsOf({ cpu: '0.1', memory: '1.5', 'example.com/gpu': '2' });
  assert.deepEqual(amounts, {
    milliCPU: 100,
    memory: 2,
    ephemeralStorage: 0,
    others: new Map([['example.com/gpu', 2]]),
  });
  const little = nonZeroRequests({ containers: [{ name: 'a' }, { name: 'b' }] });
  assert.equal(little.milliCPU, 200);
  assert.equal(little.memory, 400 * 1024 * 1024);
  const zero = asking({ cpu: '0', memory: '0' });
  assert.equal(nonZeroRequests({ containers: [], ...zero }).milliCPU, 0);
});

test('resources: allocatable less what is asked for already, all that is missing is named', () => {
  covers('SCH-016', 'SCH-069');
  const used = pod(asking({ cpu: '3', memory: '7Gi' }), 'used');
  const capacity = { cpu: '8', memory: '16Gi', pods: '110' };
  const allocatable = { cpu: '4', memory: '8Gi', pods: '110' };
  const small = info(node('n', { status: { capacity, allocatable } }), used);
  assert.equal(objection(pod(asking({ cpu: '1', memory: '1Gi' })), small), undefined);
  assert.equal(objection(pod(), small), undefined);
  assert.deepEqual(objection(pod(asking({ cpu: '1001m' })), small), [
    'NodeResourcesFit',
    'Insufficient cpu',
    false,
  ]);
  assert.deepEqual(objection(pod(asking({ cpu: '2', memory: '9Gi' })), small), [
    'NodeResourcesFit',
    'Insufficient cpu',
    'Insufficient memory',
    true,
  ]);
  small.removePod('uid-used');
  assert.equal(objection(pod(asking({ cpu: '4', memory: '8Gi' })), small), undefined);
});

test('resources: extended ones are counted, and a node without them has none', () => {
  covers('SCH-052');
  const wants = pod(asking({ 'example.com/gpu': '3' }));
  assert.deepEqual(objection(wants, info(node('n'))), [
    'NodeResourcesFit',
    'Insufficient example.com/gpu',
    true,
  ]);
  const two = node('n', { status: { allocatable: { pods: '9', 'example.com/gpu': '4' } } });
  assert.equal(objection(wants, info(two)), undefined);
  const taken = info(two, pod(asking({ 'example.com/gpu': '2' }), 'other'));
  assert.deepEqual(objection(wants, taken), [
    'NodeResourcesFit',
    'Insufficient example.com/gpu',
    false,
  ]);
});

test('resources: no more pods than the node allows', () => {
  covers('SCH-011');
  const five = node('n', { status: { allocatable: { cpu: '4', memory: '8Gi', pods: '5' } } });
  const four = ['a', 'b', 'c', 'd'].map((name) => pod({}, name));
  assert.equal(objection(pod(), info(five, ...four)), undefined);
  const full = info(five, ...four, pod({}, 'e'));
  assert.deepEqual(objection(pod(), full), ['NodeResourcesFit', 'Too many pods', false]);
});

test('a cordoned node takes nobody new', () => {
  const cordoned = info(node('n', { spec: { unschedulable: true } }));
  assert.deepEqual(objection(pod(), cordoned), [
    'NodeUnschedulable',
    'node(s) were unschedulable',
    true,
  ]);
  const tolerant = pod({
    tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }],
  });
  assert.equal(objection(tolerant, cordoned), undefined);
});

test('taints: the hard ones keep pods away that do not tolerate all of them', () => {
  covers('SCH-035', 'SCH-077');
  const of = (...effects: readonly string[]) =>
    info(
      node('n', {
        spec: { taints: effects.map((effect, i) => ({ key: `k${i}`, value: 'v', effect })) },
      }),
    );
  const rejected = ['TaintToleration', 'node(s) had untolerated taint(s)', true];
  assert.deepEqual(objection(pod(), of('NoSchedule')), rejected);
  assert.deepEqual(objection(pod(), of('NoExecute')), rejected);
  assert.equal(objection(pod(), of('PreferNoSchedule')), undefined);
  const one = pod({ tolerations: [{ key: 'k0', operator: 'Exists' }] });
  assert.equal(objection(one, of('NoSchedule')), undefined);
  assert.deepEqual(objection(one, of('NoSchedule', 'NoSchedule')), rejected);
  const taints: readonly Taint[] = [
    { key: 'node-role.kubernetes.io/master', effect: 'NoSchedule' },
    { key: 'node.cloudprovider.kubernetes.io/uninitialized', value: 'true', effect: 'NoSchedule' },
    { key: 'CriticalAddonsOnly', value: 'true', effect: 'NoSchedule' },
  ];
  for (const taint of taints) {
    const tainted = info(node('n', { spec: { taints: [taint] } }));
    assert.deepEqual(objection(pod(), tainted), rejected, taint.key);
    for (const toleration of [taint, { key: taint.key, operator: 'Exists' }]) {
      assert.equal(objection(pod({ tolerations: [toleration] }), tainted), undefined, taint.key);
    }
  }
});

test('tolerations: key, effect and value, with their ways of saying any', () => {
  covers('SCH-036', 'SCH-037');
  const taint = { key: 'k', value: 'v', effect: 'NoSchedule' };
  const table: readonly [Parameters<typeof tolerates>[0], boolean][] = [
    [{ key: 'k', value: 'v', effect: 'NoSchedule' }, true],
    [{ key: 'k', operator: 'Equal', value: 'v', effect: 'NoSchedule' }, true],
    [{ key: 'k', operator: 'Equal', value: 'w', effect: 'NoSchedule' }, false],
    [{ key: 'k', operator: 'Exists', effect: 'NoSchedule' }, true],
    [{ key: 'k', operator: 'Exists', effect: 'NoExecute' }, false],
    [{ key: 'k', operator: 'Exists' }, true],
    [{ key: 'j', operator: 'Exists' }, false],
    [{ operator: 'Exists' }, true],
    [{ operator: 'Equal', value: 'v' }, false],
    [{ key: 'k', operator: 'Gt', value: '1' }, false],
  ];
  for (const [toleration, expected] of table) {
    assert.equal(tolerates(toleration, taint), expected, JSON.stringify(toleration));
  }
  for (const effect of ['NoSchedule', 'PreferNoSchedule', 'NoExecute']) {
    for (const any of [{ operator: 'Exists' }, { key: 'k', operator: 'Exists' }]) {
      assert.equal(tolerates(any, { ...taint, effect }), true, effect);
    }
  }
  const five = { key: 'level', value: '5', effect: 'NoSchedule' };
  assert.equal(tolerates({ key: 'level', operator: 'Gt', value: '4' }, five), true);
  assert.equal(tolerates({ key: 'level', operator: 'Lt', value: '4' }, five), false);
});

test('node selector and required affinity must both hold', () => {
  covers('SCH-024', 'SCH-028', 'SCH-055');
  const ssd = info(node('n', { metadata: { labels: { disk: 'ssd', zone: 'a' } } }));
  const mismatch = ['NodeAffinity', "node(s) didn't match Pod's node affinity/selector", true];
  const required = (...zones: readonly string[]): Partial<PodSpec> => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: zones.map((zone) => ({
            matchExpressions: [{ key: 'zone', operator: 'In', values: [zone] }],
          })),
        },
      },
    },
  });
  assert.equal(objection(pod({ nodeSelector: { disk: 'ssd' } }), ssd), undefined);
  assert.deepEqual(objection(pod({ nodeSelector: { disk: 'ssd', gpu: 'yes' } }), ssd), mismatch);
  assert.equal(objection(pod(required('b', 'a')), ssd), undefined);
  assert.deepEqual(objection(pod(required('b')), ssd), mismatch);
  const all = (...zones: readonly string[]): Partial<PodSpec> => {
    const matchExpressions = [
      { key: 'disk', operator: 'In', values: ['ssd'] },
      { key: 'zone', operator: 'In', values: zones },
    ];
    const terms = { nodeSelectorTerms: [{ matchExpressions }] };
    return {
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms } },
    };
  };
  assert.equal(objection(pod(all('a')), ssd), undefined);
  assert.deepEqual(objection(pod(all('b')), ssd), mismatch, 'all expressions of a term');
  const both = pod({ nodeSelector: { disk: 'hdd' }, ...required('a') });
  assert.deepEqual(objection(both, ssd), mismatch);
});

test('node affinity knows six operators, and a term without requirements matches nothing', () => {
  covers('SCH-027');
  const on = { name: 'n', labels: { zone: 'a', cores: '8' } };
  const table: readonly [string, string, readonly string[], boolean][] = [
    ['zone', 'In', ['a', 'b'], true],
    ['zone', 'NotIn', ['a', 'b'], false],
    ['gone', 'NotIn', ['a'], true],
    ['zone', 'Exists', [], true],
    ['gone', 'Exists', [], false],
    ['zone', 'DoesNotExist', [], false],
    ['gone', 'DoesNotExist', [], true],
    ['cores', 'Gt', ['7'], true],
    ['cores', 'Gt', ['8'], false],
    ['cores', 'Lt', ['9'], true],
    ['zone', 'Gt', ['1'], false],
  ];
  for (const [key, operator, values, expected] of table) {
    const matched = matchesTerm({ matchExpressions: [{ key, operator, values }] }, on);
    assert.equal(matched, expected, `${key} ${operator} ${values}`);
  }
  assert.equal(matchesTerm({}, on), false);
});

test('affinity that names nodes narrows the search to them', () => {
  const named = pod({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }] },
          ],
        },
      },
    },
  });
  const { onlyNodes, narrowedBy } = trialOf(named);
  assert.deepEqual([onlyNodes, narrowedBy], [new Set(['n2']), ['NodeAffinity']]);
  assert.equal(trialOf(pod()).onlyNodes, undefined);
  assert.equal(objection(named, info(node('n2'))), undefined);
  assert.equal(objection(named, info(node('n1')))?.[0], 'NodeAffinity');
});

test('a host port is taken once per address and protocol', () => {
  covers('SCH-018', 'SCH-061');
  const with8080 = (name: string, hostIP?: string, protocol = 'TCP') =>
    pod(
      {
        containers: [
          {
            name: 'c',
            ports: [{ containerPort: 80, hostPort: 8080, protocol, ...(hostIP ? { hostIP } : {}) }],
          },
        ],
      },
      name,
    );
  const taken = ['NodePorts', "node(s) didn't have free ports for the requested pod ports", false];
  const busy = info(node('n'), with8080('a', '10.0.0.1'));
  assert.deepEqual(objection(with8080('b'), busy), taken);
  assert.deepEqual(objection(with8080('b', '10.0.0.1'), busy), taken);
  assert.equal(objection(with8080('b', '10.0.0.2'), busy), undefined);
  assert.equal(objection(with8080('b', '10.0.0.1', 'UDP'), busy), undefined);
  busy.removePod('uid-a');
  assert.equal(objection(with8080('b'), busy), undefined);
});

test('the emptier node scores higher, the balanced one too', () => {
  const empty = info(node('empty'));
  const half = info(node('half'), pod(asking({ cpu: '2', memory: '4Gi' }), 'other'));
  const facts = podFacts(pod(asking({ cpu: '1', memory: '2Gi' })));
  const [a = 0, b = 0] = scores(facts, [empty, half]);
  // Free shares 75 and 25; both balanced as before (75); no soft taint (3 × 100).
  assert.deepEqual([a, b], [75 + 75 + 300, 25 + 75 + 300]);

  const lopsided = info(node('lopsided'), pod(asking({ cpu: '2' }), 'other'));
  const [, c] = scores(facts, [empty, lopsided]);
  // cpu 25 % free, memory about 72 % (the other pod counts as 200 MiB); the spread stays 0.25.
  assert.equal(c, 48 + 75 + 300);

  const tainted = info(node('t', { spec: { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] } }));
  const [d = 0, e = 0] = scores(facts, [empty, tainted]);
  assert.equal(d - e, 300);
});

test('balance counts what every node has, and extended resources only where they are asked for', () => {
  const names = ['cpu', 'memory', 'ephemeral-storage', 'example.com/tool'];
  const resources = names.map((name) => ({ name, weight: 1 }));
  const plugins = openPlugins({ balancedAllocation: { resources } });
  const facts = podFacts(pod(asking({ cpu: '1', memory: '2Gi' })));
  const scoreOf = (allocatable: Record<string, string>) => {
    const on = info(node('n', { status: { allocatable } }));
    return plugins
      .get('NodeResourcesBalancedAllocation')
      ?.score?.(facts, new Cluster(), [on])
      ?.score(on);
  };
  const usual = { cpu: '4', memory: '8Gi' };
  assert.equal(scoreOf({ ...usual, 'example.com/tool': '4' }), 75);
  // Shares ¼, ¼ and 0 after, none before: the spread grows from 0 to 0.118.
  assert.equal(scoreOf({ ...usual, 'ephemeral-storage': '10Gi' }), 69);
});

test('preferred affinity adds its weights, stretched to the best node', () => {
  const zone = (name: string) => info(node(name, { metadata: { name, labels: { zone: name } } }));
  const prefers = podFacts(
    pod({
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: ['a', 'b'].map((value, index) => ({
            weight: 20 * (index + 1),
            preference: { matchExpressions: [{ key: 'zone', operator: 'In', values: [value] }] },
          })),
        },
      },
    }),
  );
  const [a = 0, b = 0, c = 0] = scores(prefers, [zone('a'), zone('b'), zone('c')]);
  assert.deepEqual([b - a, a - c], [100, 100]);
});

test('what only some nodes can do draws pods that use it to nodes that declare it', () => {
  const needs = pod({ hostNetwork: true, hostUsers: false });
  assert.deepEqual(objection(needs, info(node('n'))), [
    'NodeDeclaredFeatures',
    "node(s) didn't match Pod's required features",
    true,
  ]);
  const allocatable = { pods: '9' };
  const declaredFeatures = ['UserNamespacesHostNetworkSupport'];
  assert.equal(
    objection(needs, info(node('m', { status: { allocatable, declaredFeatures } }))),
    undefined,
  );
  assert.equal(objection(pod({ hostNetwork: true }), info(node('n'))), undefined);
});

test('big images that a node has draw the pod there', () => {
  const images = [{ names: ['nginx:latest'], sizeBytes: 523 * 1024 * 1024 }];
  const cluster = new Cluster();
  cluster.setNode(node('has', { status: { allocatable: { pods: '9' }, images } }));
  cluster.setNode(node('hasnot', { status: { allocatable: { pods: '9' } } }));
  const [a = 0, b = 0] = scores(podFacts(pod()), cluster.nodes, cluster);
  // One node of two has it: (523 / 2 − 23) / (1000 − 23) = 24 %.
  assert.equal(a - b, 24);
});

test('a rejected pod is woken by what could help it and by nothing else', () => {
  const big = podFacts(pod(asking({ cpu: '6' })));
  const plain = podFacts(pod());
  const fit = new Set(['NodeResourcesFit']);
  const roomy = node('n', { status: { allocatable: { cpu: '8', memory: '8Gi', pods: '9' } } });
  const taints = [{ key: 'k', effect: 'NoSchedule' }];
  const tainted = node('n', { spec: { taints } });
  const cordoned = node('n', { spec: { unschedulable: true } });
  const changed = (old: Node, now: Node) => ({ what: 'nodeChanged', node: now, old }) as const;
  const beat = node('n');
  assert.equal(helps(changed(node('n'), roomy), big, fit), true);
  assert.equal(helps(changed(node('n'), beat), plain, fit), false);
  assert.equal(helps({ what: 'nodeAdded', node: node('m') }, big, fit), false);
  assert.equal(helps({ what: 'nodeAdded', node: roomy }, big, fit), true);
  assert.equal(helps({ what: 'podGone', pod: plain }, big, fit), true);
  const taint = new Set(['TaintToleration']);
  assert.equal(helps(changed(tainted, node('n')), plain, taint), true);
  assert.equal(helps(changed(tainted, tainted), plain, taint), false);
  assert.equal(helps({ what: 'podGone', pod: big }, plain, taint), false);
  const cordon = new Set(['NodeUnschedulable']);
  assert.equal(helps(changed(cordoned, node('n')), plain, cordon), true);
  assert.equal(helps(changed(node('n'), cordoned), plain, cordon), false);
});
