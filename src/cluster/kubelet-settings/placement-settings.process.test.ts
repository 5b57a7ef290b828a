/**
 * Flags about processors, down to what a container gets, with a kubelet over a runtime in memory.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';
import { kubeletFlags } from './kubelet-flags.ts';
import { readKubeletConfig } from './kubelet-settings.ts';

test('--cpu-manager-policy: none by default, static gives processors, others are refused', async () => {
  covers('POD-225');
  superseded('POD-224', { by: 'v1.26', now: 'no gate: the flag alone switches it on' });
  const settingsOf = (options: Readonly<Record<string, string>>) =>
    readKubeletConfig(kubeletFlags(options)).settings;
  assert.throws(() => settingsOf({ cpuManagerPolicy: 'dynamic' }), {
    message: 'unknown policy: "dynamic"',
  });
  const cpusetWith = async (options: Readonly<Record<string, string>>) => {
    await using bench = await KubeletBench.open({
      settings: settingsOf(options),
      files: { '/sys/devices/system/cpu/online': '0-3\n' },
    });
    const amounts = { cpu: '2', memory: '64Mi' };
    const resources = { requests: amounts, limits: amounts };
    await bench.create('own', { containers: [bench.container({ resources })] });
    await bench.untilReady('own');
    return bench.runtime.configOf('web').linux?.resources?.cpusetCpus;
  };
  assert.equal(await cpusetWith({}), undefined);
  const given = { cpuManagerPolicy: 'static', kubeReserved: 'cpu=1' };
  assert.equal(await cpusetWith(given), '1-2');
});
