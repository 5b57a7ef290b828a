/** The file about the kubelet of a node of ours. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readNodeKubelet } from './node-kubelet-config.ts';

test('what the file says counts, all else is as nodes of ours are set to', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-node-kubelet-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'kubelet.yaml');
  const read = (...lines: readonly string[]) => {
    const head = ['apiVersion: kubelet.config.k8s.io/v1beta1', 'kind: KubeletConfiguration'];
    writeFileSync(path, [...head, ...lines].join('\n'));
    return readNodeKubelet(path);
  };
  const usual = await readNodeKubelet(undefined);
  assert.equal(usual.settings.evictionHard['nodefs.available'], '5%');
  assert.equal(usual.settings.imageGCHighThresholdPercent, 95);
  assert.deepEqual((await read()).settings, usual.settings);
  const images = (await read('imageGCHighThresholdPercent: 84')).settings;
  assert.deepEqual(
    [images.imageGCHighThresholdPercent, images.imageGCLowThresholdPercent],
    [84, 80],
  );
  const { settings, options, unused } = await read(
    ...['cpuManagerPolicy: static', 'kubeReserved: { cpu: 500m }', 'maxPods: 20'],
    ...['shutdownGracePeriod: 30s', 'shutdownGracePeriodCriticalPods: 10s'],
    ...['evictionHard: { memory.available: 5% }', 'port: 1', 'runtimeRequestTimeout: 1m'],
  );
  assert.equal(settings.cpuManagerPolicy, 'static');
  assert.equal(settings.shutdownGracePeriodMs, 30_000);
  assert.deepEqual(settings.evictionHard, { 'memory.available': '5%' });
  assert.equal(settings.serializeImagePulls, false);
  assert.equal(options.maxPods, 20);
  const podLogs = async (path: string) => (await read(`podLogsDir: ${path}`)).options.podLogsDir;
  assert.deepEqual(
    [await podLogs('/var/log/pods'), await podLogs('""')],
    ['/var/log/pods', undefined],
  );
  assert.deepEqual(unused, ['port', 'runtimeRequestTimeout']);
  await assert.rejects(read('cpuManagerPolicy: mine'), /unknown policy: "mine"/);
  // It goes to the node's process as JSON.
  assert.deepEqual(JSON.parse(JSON.stringify(settings)).containerLogMaxBytes, 10 * 1024 ** 2);
});
