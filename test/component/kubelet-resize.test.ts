/** Other CPU and memory for pods that run: in place, by a restart, or not at all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { events, pods } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { KubeletBench, testImage } from '#test/kubelet-bench.ts';

test('a resize reaches the container without a restart, and the status tells', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  const resources = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
  const containers = [{ name: 'web', image: testImage, resources: resources('100m') }];
  await bench.create('web', { containers });
  const pod = await bench.untilReady('web');
  assert.deepEqual(pod.status?.containerStatuses?.[0]?.resources, resources('100m'));
  const at = { namespace: 'default', name: 'web' };
  const resize = (cpu: string) => {
    const body = { spec: { containers: [{ name: 'web', resources: resources(cpu) }] } };
    return client.patch(pods, at, body, { type: 'strategic', subresource: 'resize', signal });
  };
  await bench.while(resize('200m'));
  const wanted = JSON.stringify(resources('200m'));
  const resized = await bench.until('web', (one) => JSON.stringify(one.resources) === wanted);
  assert.deepEqual(resized.status?.containerStatuses?.[0]?.allocatedResources, { cpu: '200m' });
  assert.equal(resized.status?.containerStatuses?.[0]?.restartCount, 0);
  assert.ok(runtime.calls.includes('updateContainerResources web quota 20000'));
  // A kubelet that starts anew still knows what the container has.
  await bench.stop();
  await bench.while(resize('300m'));
  bench.start();
  const later = JSON.stringify(resources('300m'));
  await bench.until('web', (one) => JSON.stringify(one.resources) === later);
  assert.ok(runtime.calls.includes('updateContainerResources web quota 30000'));
  // More than the node has.
  await bench.while(resize('9999'));
  const pending = (one: Pod) =>
    one.status?.conditions?.find(({ type }) => type === 'PodResizePending')?.reason;
  await bench.until('web', (_, one) => pending(one) === 'Infeasible');
  assert.ok(!runtime.calls.some((call) => call.includes('999900000')));
  // What nobody wants any more is not waited for.
  await bench.while(resize('300m'));
  await bench.until('web', (_, one) => pending(one) === undefined);
});

test('a container that begins anew for a resize finds room in its pod', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  const resources = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
  const resizePolicy = [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }];
  const containers = [{ name: 'web', image: testImage, resources: resources('1'), resizePolicy }];
  await bench.create('web', { containers });
  const { metadata } = await bench.untilReady('web');
  const at = { namespace: 'default', name: 'web' };
  const resize = (cpu: string) => {
    const body = { spec: { containers: [{ name: 'web', resources: resources(cpu) }] } };
    return client.patch(pods, at, body, { type: 'strategic', subresource: 'resize', signal });
  };
  assert.deepEqual(bench.quotas, [], 'a first start changes nothing');
  await bench.while(resize('9999'));
  const pending = (one: Pod) =>
    one.status?.conditions?.find(({ type }) => type === 'PodResizePending')?.reason;
  await bench.until('web', (_, one) => pending(one) === 'Infeasible');
  assert.deepEqual(runtime.running(), ['web'], 'nobody ends for what cannot be');
  assert.ok(!runtime.calls.some((call) => call.startsWith('stopContainer')));
  await bench.while(resize('2'));
  const wanted = JSON.stringify(resources('2'));
  const resized = await bench.until('web', (one) => JSON.stringify(one.resources) === wanted);
  assert.equal(resized.status?.containerStatuses?.[0]?.restartCount, 1);
  assert.equal(pending(resized), undefined);
  assert.deepEqual(bench.quotas, [`pod${metadata.uid} 200000`]);
  await bench.advance(1000);
  const list = await bench.while(client.list(events, { namespace: 'default', signal }));
  const notes = list.items.filter(({ reason }) => reason === 'Killing').map(({ note }) => note);
  assert.deepEqual(notes, ['Container web resize requires restart']);
});

test('memory in use is not taken away; once it is free again, it is', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  const resources = (memory: string) => ({ requests: { memory: '1Mi' }, limits: { memory } });
  const containers = [{ name: 'web', image: testImage, resources: resources('64Mi') }];
  await bench.create('web', { containers });
  await bench.untilReady('web');
  runtime.memoryUse.set('web', 40 * 2 ** 20);
  const body = { spec: { containers: [{ name: 'web', resources: resources('32Mi') }] } };
  const at = { namespace: 'default', name: 'web' };
  const options = { type: 'strategic', subresource: 'resize', signal } as const;
  await bench.while(client.patch(pods, at, body, options));
  const problem = (one: Pod) =>
    one.status?.conditions?.find(({ type }) => type === 'PodResizeInProgress');
  const held = await bench.until('web', (_, one) => problem(one)?.reason === 'Error');
  assert.equal(
    problem(held)?.message,
    'cannot decrease memory limits: attempting to set container "web" memory limit (33554432) ' +
      'below current usage (41943040)',
  );
  assert.ok(!runtime.calls.some((call) => call.startsWith('updateContainerResources')));
  runtime.memoryUse.set('web', 2 ** 20);
  const wanted = JSON.stringify(resources('32Mi'));
  const later = await bench.until('web', (one) => JSON.stringify(one.resources) === wanted);
  assert.equal(problem(later), undefined);
});
