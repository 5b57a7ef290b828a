/** The file of a kubelet: flags win over it, its paths are its own, its faults are said. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { kubeletFlags } from './kubelet-flags.ts';
import { readKubeletConfig } from './kubelet-settings.ts';

test('flags win over the file, and paths in it are relative to it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-kubelet-'));
  try {
    const config = join(folder, 'kubelet.yaml');
    const head = 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n';
    const read = (body: string, options: Record<string, string> = {}) => {
      writeFileSync(config, body === '' ? '' : head + body);
      return readKubeletConfig(kubeletFlags({ config, ...options }));
    };
    const body = [
      'staticPodPath: manifests',
      'maxPods: 5',
      'podPidsLimit: 100',
      'authentication: {x509: {clientCAFile: ca.crt}, anonymous: {enabled: true}}',
      'evictionHard: {memory.available: 200Mi}',
      'imageMinimumGCAge: 5m',
      'kubeAPIQPS: 7',
      'hairpinMode: none',
      'singleProcessOOMKill: true',
      'memorySwap: { swapBehavior: LimitedSwap }',
    ].join('\n');
    const { fields, settings, server, unused } = read(body, { maxPods: '6' });
    assert.equal(fields.staticPodPath, join(folder, 'manifests'));
    assert.equal(fields.authentication?.x509?.clientCAFile, join(folder, 'ca.crt'));
    assert.deepEqual([fields.maxPods, fields.podPidsLimit], [6, 100]);
    assert.deepEqual(settings.evictionHard, { 'memory.available': '200Mi' });
    assert.equal(settings.imageMinimumGCAgeMs, 300_000);
    assert.equal(server.serves.access?.anonymous, true);
    assert.equal(server.rates.requests.perSecond, 7);
    assert.deepEqual(unused, ['hairpinMode']);
    assert.deepEqual([settings.singleProcessOOMKill, settings.swapBehavior], [true, 'LimitedSwap']);
    assert.throws(
      () => read('memorySwap: { swapBehavior: Some }'),
      /memorySwap.swapBehavior "Some" must be one of: "", "LimitedSwap" or "NoSwap"/,
    );
    const merged = read(`${body}\nmergeDefaultEvictionSettings: true`);
    assert.equal(merged.settings.evictionHard['nodefs.available'], '10%');
    assert.equal(merged.settings.evictionHard['memory.available'], '200Mi');
    const failed = `failed to load Kubelet config file ${config}, error`;
    const lenient = read('foo: 1\nmaxPods: 3');
    assert.equal(lenient.fields.maxPods, 3);
    assert.equal(lenient.strictProblem, 'strict decoding error: unknown field "foo"');
    const wrong = `failed to load kubelet config file, path: ${config}, error: ${failed} `;
    assert.throws(
      () => read('maxPods: many'),
      (error) => error instanceof Error && error.message.startsWith(`${wrong}failed to decode: `),
    );
    assert.throws(() => read(''), /kubelet config file ".*kubelet.yaml" was empty/);
    rmSync(config);
    const options = kubeletFlags({ config });
    assert.throws(() => readKubeletConfig(options), /failed to read kubelet config file/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('what holds for pods of a node: quotas, its disk, users of their own', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-kubelet-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'config.yaml');
  const head = 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n';
  const read = (body: string, options: Record<string, string> = {}) => {
    writeFileSync(config, head + body);
    const { settings, unused } = readKubeletConfig(kubeletFlags({ config, ...options }));
    assert.deepEqual(unused, []);
    const { cpuCFSQuotaPeriodUs, localStorageCapacityIsolation, userNamespaceIdsPerPod } = settings;
    return [cpuCFSQuotaPeriodUs, localStorageCapacityIsolation, userNamespaceIdsPerPod];
  };
  assert.deepEqual(read(''), [100_000, true, 65_536]);
  const body = 'localStorageCapacityIsolation: false\nuserNamespaces: {idsPerPod: 131072}\n';
  assert.deepEqual(read(`${body}cpuCFSQuotaPeriod: 10ms\n`), [10_000, false, 131_072]);
  assert.deepEqual(read(body, { cpuCfsQuotaPeriod: '1s' }), [1_000_000, false, 131_072]);
  for (const [wrong, why] of [
    [
      'cpuCFSQuotaPeriod: 2s',
      'cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {2s} must be between 1ms and 1sec, inclusive',
    ],
    ['userNamespaces: {idsPerPod: 1}', 'userNamespaces.idsPerPod must not be less than 65536'],
    ['userNamespaces: {idsPerPod: 65537}', 'userNamespaces.idsPerPod must be a multiple of 65536'],
    [
      'userNamespaces: {idsPerPod: 4294967296}',
      'userNamespaces.idsPerPod must not be more than 4294967295',
    ],
  ] as const) {
    assert.throws(() => read(wrong), { message: `invalid configuration: ${why}` });
  }
});

test('how much is logged, and as what, is in the file or in flags', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-kubelet-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'config.yaml');
  const head = 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n';
  writeFileSync(config, `${head}logging: {format: json, verbosity: 4}\n`);
  const told = (options: Record<string, string>) => {
    const { logLevel, logFormat, logsRequests, unused } = readKubeletConfig(kubeletFlags(options));
    return [logLevel, logFormat, logsRequests, unused];
  };
  assert.deepEqual(told({}), ['info', 'text', false, []]);
  assert.deepEqual(told({ config }), ['trace', 'json', false, []]);
  assert.deepEqual(told({ config, v: '2', loggingFormat: 'text' }), ['debug', 'text', false, []]);
  assert.deepEqual(told({ config, v: '6' }), ['trace', 'json', true, []]);
});

test('the file wins over nothing, files of a folder over it, flags over all', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-kubelet-config-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const head = 'apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n';
  const main = join(folder, 'main.yaml');
  writeFileSync(
    main,
    `${head}maxPods: 1\npodsPerCore: 1\nevictionHard: { memory.available: 1Gi }\n`,
  );
  mkdirSync(join(folder, 'more'));
  writeFileSync(join(folder, 'more/20.conf'), `${head}podsPerCore: 3\nport: 3\n`);
  writeFileSync(
    join(folder, 'more/10.conf'),
    `${head}podsPerCore: 2\nport: 2\nevictionHard: { pid.available: 5% }\n`,
  );
  writeFileSync(join(folder, 'more/30.yaml'), `${head}podsPerCore: 4\n`);
  const { fields, settings } = readKubeletConfig(
    kubeletFlags({ config: main, configDir: join(folder, 'more'), port: '4' }),
  );
  assert.deepEqual([fields.maxPods, settings.podsPerCore, fields.port], [1, 3, 4]);
  assert.deepEqual(settings.evictionHard, { 'memory.available': '1Gi', 'pid.available': '5%' });
});
