/** Configuration files: what they make of the profiles, and what is wrong with bad ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultProfile, type Profile } from '#scheduling';
import { readSchedulerConfiguration } from './configuration.ts';
import { ConfigurationError } from './strict-reader.ts';

const head = 'apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n';

function read(body: string) {
  return readSchedulerConfiguration(head + body);
}

function refusal(body: string, prefix = head): string {
  try {
    readSchedulerConfiguration(prefix + body);
  } catch (error) {
    assert.ok(error instanceof ConfigurationError, String(error));
    return error.message;
  }
  assert.fail('accepted');
}

function names(profile: Profile | undefined): readonly string[] {
  return (profile?.filters ?? []).map(({ name }) => name);
}

function weights(profile: Profile | undefined): Readonly<Record<string, number>> {
  const scorers = profile?.scorers ?? [];
  return Object.fromEntries(scorers.map(({ plugin, weight }) => [plugin.name, weight]));
}

test('nothing said: the default profile, with a Lease of its usual name', () => {
  const { profiles, queue, leaderElection, extenders } = read('');
  const [profile] = profiles;
  const usual = defaultProfile();
  assert.equal(profile?.schedulerName, 'default-scheduler');
  assert.deepEqual(names(profile), names(usual));
  assert.deepEqual(weights(profile), weights(usual));
  assert.deepEqual(profile?.preemption, usual.preemption);
  assert.deepEqual(queue, { backoffMs: 1000, backoffMsMax: 10_000 });
  assert.deepEqual(extenders, []);
  assert.deepEqual(leaderElection, {
    enabled: true,
    namespace: 'kube-system',
    name: 'kube-scheduler',
    leaseMs: 15_000,
    renewDeadlineMs: 10_000,
    retryMs: 2_000,
  });
});

test('profiles side by side, with rules taken away, put first and weighed', () => {
  const { profiles } = read(`
percentageOfNodesToScore: 30
profiles:
- schedulerName: default-scheduler
- schedulerName: packing
  percentageOfNodesToScore: 100
  plugins:
    score:
      enabled:
      - name: ImageLocality
        weight: 7
      disabled:
      - name: TaintToleration
    postFilter:
      disabled:
      - name: '*'
    filter:
      disabled:
      - name: NodePorts
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: MostAllocated
- schedulerName: bare
  plugins:
    multiPoint:
      disabled:
      - name: '*'
      enabled:
      - name: NodeResourcesFit
        weight: 3
      - name: PrioritySort
      - name: DefaultBinder
`);
  const [usual, packing, bare] = profiles;
  assert.equal(usual?.percentageOfNodesToScore, 30);
  assert.equal(packing?.percentageOfNodesToScore, 100);
  assert.equal(packing?.preemption, undefined);
  assert.equal(packing?.deallocates, false);
  assert.ok(!names(packing).includes('NodePorts'));
  assert.equal(packing?.scorers[0]?.plugin.name, 'ImageLocality');
  assert.equal(weights(packing)['ImageLocality'], 7);
  assert.equal(weights(packing)['TaintToleration'], undefined);
  assert.equal(weights(packing)['NodeAffinity'], 2);
  assert.deepEqual(names(bare), ['NodeResourcesFit']);
  assert.deepEqual(weights(bare), { NodeResourcesFit: 3 });
});

test('unknown fields, wrong types and wrong kinds are refused by name', () => {
  assert.equal(
    refusal('foo: 1\nprofiles:\n- schedulerName: a\n  plugins:\n    filters: {}\n'),
    'strict decoding error: unknown field "foo", unknown field "profiles[0].plugins.filters"',
  );
  assert.equal(
    refusal('parallelism: many\n'),
    'json: cannot unmarshal string into Go struct field KubeSchedulerConfiguration.parallelism ' +
      'of type int32',
  );
  assert.match(
    refusal(
      'kind: KubeSchedulerConfiguration\napiVersion: kubescheduler.config.k8s.io/v1beta1',
      '',
    ),
    /^no kind "KubeSchedulerConfiguration" is registered for version ".*v1beta1"/,
  );
  assert.match(refusal('a: [', ''), /^error converting YAML to JSON/);
});

test('values out of range are named all at once', () => {
  assert.equal(
    refusal(`
parallelism: 0
percentageOfNodesToScore: 101
podInitialBackoffSeconds: 5
podMaxBackoffSeconds: 1
`),
    '[parallelism: Invalid value: 0: should be an integer value greater than zero, ' +
      'percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100], ' +
      'podMaxBackoffSeconds: Invalid value: 1: must be greater than or equal to ' +
      'PodInitialBackoffSeconds]',
  );
  assert.equal(
    refusal('profiles:\n- schedulerName: a\n- schedulerName: a\n'),
    'profiles[1].schedulerName: Duplicate value: "profiles[0].schedulerName"',
  );
});

test('arguments of rules: their limits', () => {
  const withArgs = (name: string, args: string): string =>
    refusal(
      `profiles:\n- schedulerName: a\n  pluginConfig:\n  - name: ${name}\n    args: ${args}\n`,
    );
  const at = 'profiles[0].pluginConfig[0].args';
  assert.equal(
    withArgs('InterPodAffinity', '{hardPodAffinityWeight: 101}'),
    `${at}.hardPodAffinityWeight: Invalid value: 101: not in valid range [0-100]`,
  );
  assert.equal(
    withArgs('PodTopologySpread', '{defaultConstraints: [{maxSkew: 1}]}'),
    `[${at}.defaultingType: Invalid value: "System": when .defaultConstraints are not empty, ` +
      `${at}.defaultConstraints[0].topologyKey: Required value: can not be empty, ` +
      `${at}.defaultConstraints[0].whenUnsatisfiable: Required value: can not be empty]`,
  );
  assert.equal(
    withArgs('NodeResourcesFit', '{scoringStrategy: {type: RequestedToCapacityRatio}}'),
    `${at}.scoringStrategy.requestedToCapacityRatio: Required value: must be specified when ` +
      'type is RequestedToCapacityRatio',
  );
  assert.equal(
    withArgs('DefaultPreemption', '{minCandidateNodesPercentage: 200}'),
    `${at}.minCandidateNodesPercentage: Invalid value: 200: not in valid range [0, 100]`,
  );
  assert.match(withArgs('NodeResourcesFit', '{foo: 1}'), /unknown field "foo"/);
});

test('rules that do not exist, or not there, and profiles that cannot bind', () => {
  const plugins = (text: string): string =>
    refusal(`profiles:\n- schedulerName: a\n  plugins: ${text}\n`);
  assert.equal(plugins('{filter: {enabled: [{name: Foo}]}}'), 'plugin "Foo" does not exist');
  assert.equal(
    plugins('{filter: {enabled: [{name: ImageLocality}]}}'),
    'plugin "ImageLocality" does not extend filter plugin',
  );
  assert.equal(
    plugins('{bind: {disabled: [{name: DefaultBinder}]}}'),
    'at least one bind plugin is needed for profile with scheduler name "a"',
  );
});

test('extenders: what they are asked, and what the scheduler leaves to them', () => {
  const { extenders } = read(`
extenders:
- urlPrefix: https://10.0.0.1:8080/scheduler
  filterVerb: filter
  prioritizeVerb: prioritize
  weight: 5
  httpTimeout: 2s
  managedResources:
  - name: example.com/foo
    ignoredByScheduler: true
`);
  const [extender] = extenders;
  assert.equal(extender?.timeoutMs, 2000);
  assert.deepEqual(extender?.ignoredResources, ['example.com/foo']);
  assert.equal(
    refusal('extenders:\n- prioritizeVerb: p\n'),
    '[extenders[0].urlPrefix: Required value, extenders[0].weight: Invalid value: 0: must have ' +
      'a positive weight applied to it]',
  );
});

test('an old policy file becomes a profile', () => {
  const { profiles, extenders } = readSchedulerConfiguration(`{
    "kind": "Policy", "apiVersion": "v1",
    "predicates": [{"name": "PodFitsPorts"}, {"name": "PodFitsResources"}],
    "priorities": [
      {"name": "LeastRequestedPriority", "weight": 1},
      {"name": "ServiceSpreadingPriority", "weight": 2},
      {"name": "EqualPriority", "weight": 1}
    ],
    "extenders": [{"urlPrefix": "http://127.0.0.1/e", "filterVerb": "filter",
      "httpTimeout": 1000000000}]
  }`);
  const [profile] = profiles;
  assert.deepEqual([...names(profile)].sort(), [
    'DynamicResources',
    'NodePorts',
    'NodeResourcesFit',
    'VolumeBinding',
  ]);
  assert.deepEqual(weights(profile), { NodeResourcesFit: 1, PodTopologySpread: 2 });
  assert.equal(extenders[0]?.timeoutMs, 1000);
  const unknown = '{"kind": "Policy", "apiVersion": "v1", "predicates": [{"name": "Nope"}]}';
  assert.match(refusal(unknown, ''), /^predicates\[0\].name: Unsupported value: "Nope"/);
});
