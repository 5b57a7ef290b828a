/** Flags over a file over defaults, with upstream's names and words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultSettings } from '#kubelet';
import { kubeletFlags } from './kubelet-flags.ts';
import { decodeKubeletConfiguration, readKubeletConfig } from './kubelet-settings.ts';

const file = (text: string) =>
  decodeKubeletConfiguration(
    `apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n${text}`,
  );
const read = (options: Record<string, string | true>) => readKubeletConfig(kubeletFlags(options));

test('without a word everything is as upstream has it', () => {
  const config = read({ hostnameOverride: 'N1' });
  assert.equal(config.nodeName, 'n1');
  assert.equal(config.rootDir, '/var/lib/kubelet');
  assert.equal(config.certDir, '/var/lib/kubelet/pki');
  assert.equal(config.runtimeSocket, '/run/containerd/containerd.sock');
  assert.deepEqual(config.settings, defaultSettings);
  assert.deepEqual([config.labels, config.unused], [{}, []]);
});

test('names in a file that are none are told of, wrong types refused', () => {
  assert.deepEqual(file('maxPods: 5\nclusterDNS: [10.0.0.10]\n'), {
    fields: {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      maxPods: 5,
      clusterDNS: ['10.0.0.10'],
    },
  });
  const problem = (text: string) => {
    const result = file(text);
    return 'problem' in result ? result.problem : result.strictProblem;
  };
  assert.equal(problem('foo: 1\n'), 'strict decoding error: unknown field "foo"');
  const nested = 'authentication: {x509: {clientCAfile: /a}}\n';
  const path = 'authentication.x509.clientCAfile';
  assert.equal(problem(nested), `strict decoding error: unknown field "${path}"`);
  assert.match(problem('maxPods: many\n') ?? '', /cannot unmarshal string into Go/);
  const other = decodeKubeletConfiguration('apiVersion: v1\nkind: Pod\n');
  assert.ok('problem' in other && other.problem.startsWith('no kind "Pod" is registered'));
});

test('flags become fields', () => {
  const { fields, settings, labels } = read({
    podManifestPath: '/etc/manifests',
    manifestUrl: 'http://a/',
    manifestUrlHeader: 'a:hello,b:again',
    clusterDns: '10.0.0.10,10.0.0.11',
    registerNode: 'false',
    registerWithTaints: 'gpu=yes:NoSchedule,old:NoExecute',
    nodeLabels: 'disk=ssd,pool=test',
    maxPods: '7',
    clientCaFile: '/ca.crt',
    evictionHard: 'memory.available<1Gi,nodefs.available<5%',
    evictionSoft: 'memory.available<2Gi',
    evictionSoftGracePeriod: 'memory.available=1m30s',
    evictionMinimumReclaim: 'memory.available=500Mi',
    systemReserved: 'cpu=100m,memory=1Gi',
    imageGcHighThreshold: '70',
    imageGcLowThreshold: '60',
  });
  assert.equal(fields.staticPodPath, '/etc/manifests');
  assert.deepEqual(fields.staticPodURLHeader, { a: ['hello'], b: ['again'] });
  assert.deepEqual(fields.clusterDNS, ['10.0.0.10', '10.0.0.11']);
  assert.deepEqual([fields.registerNode, fields.maxPods], [false, 7]);
  assert.deepEqual(fields.registerWithTaints, [
    { key: 'gpu', value: 'yes', effect: 'NoSchedule' },
    { key: 'old', effect: 'NoExecute' },
  ]);
  assert.equal(fields.authentication?.x509?.clientCAFile, '/ca.crt');
  assert.deepEqual(labels, { disk: 'ssd', pool: 'test' });
  assert.deepEqual(settings.evictionHard, {
    'memory.available': '1Gi',
    'nodefs.available': '5%',
  });
  assert.deepEqual(settings.evictionSoftGracePeriodMs, { 'memory.available': 90_000 });
  assert.deepEqual(settings.systemReserved, { cpu: '100m', memory: '1Gi' });
  assert.equal(settings.imageGCHighThresholdPercent, 70);
});

test('what makes no sense is refused with its name', () => {
  const refused = (options: Record<string, string>, why: RegExp) =>
    assert.throws(() => read(options), why);
  refused({ maxPods: 'x' }, /invalid argument "x" for "--max-pods" flag/);
  refused({ evictionHard: 'memory.available' }, /malformed pair, expect string<string/);
  refused({ evictionSoft: 'memory.available<1Gi' }, /grace period must be specified for the soft/);
  refused({ imageGcHighThreshold: '50' }, /--image-gc-low-threshold\) 80 must be less than/);
  refused({ imageGcHighThreshold: '101' }, /must be between 0 and 100, inclusive/);
  refused({ registerWithTaints: 'a=b' }, /invalid taint spec: a=b/);
  refused({ minimumImageTtlDuration: 'soon' }, /invalid duration "soon"/);
});
