/** Other CPU and memory for pods that run: in place, by a restart, or not at all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultPlugins } from '#api/admission-plugins.ts';
import { quantityValue } from '#api/quantity.ts';
import { events, nodes, pods } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { KubeletBench, testImage } from '#test/kubelet-bench.ts';

/** A server that lets through what no node can give, so that the node has to refuse it. */
const lenient = {
  admissionPlugins: new Set([...defaultPlugins].filter((name) => name !== 'PodResizeValidator')),
};

/** What was told of a pod's resizes, in the order of the alphabet: one moment sees many. */
async function toldBy(bench: KubeletBench, name: string): Promise<readonly string[]> {
  const { client, signal } = bench;
  await bench.advance(1000);
  const { items } = await bench.while(client.list(events, { namespace: 'default', signal }));
  return items
    .filter(({ reason, regarding }) => reason?.startsWith('Resize') && regarding?.name === name)
    .map(({ type, reason, note }) => `${type} ${reason} ${note}`)
    .sort();
}

function conditionOf(pod: Pod, wanted: string) {
  return pod.status?.conditions?.find(({ type }) => type === wanted);
}

function reasonOf(pod: Pod): string | undefined {
  return conditionOf(pod, 'PodResizePending')?.reason;
}

test('a pod is resized as a whole: it first where it grows, last where it shrinks', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  const whole = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
  const log = { name: 'log', image: testImage, resources: whole('100m') };
  const containers = [{ name: 'web', image: testImage }, log];
  await bench.create('web', { containers, resources: whole('1') });
  const { metadata, status } = await bench.untilReady('web');
  assert.deepEqual(status?.resources, whole('1'));
  assert.deepEqual(status?.allocatedResources, { cpu: '1' });
  const at = { namespace: 'default', name: 'web' };
  const options = { type: 'strategic', subresource: 'resize', signal } as const;
  const resize = (cpu: string) =>
    bench.while(client.patch(pods, at, { spec: { resources: whole(cpu) } }, options));
  const untilHas = (cpu: string) =>
    bench.until(
      'web',
      (_, one) =>
        one.status?.resources?.limits?.['cpu'] === cpu &&
        conditionOf(one, 'PodResizeInProgress') === undefined,
    );
  await resize('2');
  const grown = await untilHas('2');
  assert.deepEqual(grown.status?.resources, whole('2'));
  assert.deepEqual(grown.status?.allocatedResources, { cpu: '2' });
  const pod = `pod${metadata.uid}`;
  assert.deepEqual(bench.quotas, [`${pod} 200000`, `${pod} 200000`]);
  const updates = () => runtime.calls.filter((call) => call.startsWith('updateContainer'));
  assert.deepEqual(updates(), ['updateContainerResources web quota 200000'], 'log has its own');
  assert.deepEqual(
    grown.status?.containerStatuses?.map(({ restartCount }) => restartCount),
    [0, 0],
  );
  const summary = (generation: number) =>
    '{"containers":[{"name":"web","resources":{}},{"name":"log","resources":' +
    `{"limits":{"cpu":"100m"},"requests":{"cpu":"100m"}}}],"generation":${generation}}`;
  assert.deepEqual(await toldBy(bench, 'web'), [
    `Normal ResizeCompleted Pod resize completed: ${summary(2)}`,
    `Normal ResizeStarted Pod resize started: ${summary(2)}`,
  ]);
  // A kubelet that starts anew still knows what the pod has.
  await bench.stop();
  await resize('500m');
  bench.start();
  await untilHas('500m');
  assert.deepEqual(bench.quotas.slice(2), [`${pod} 200000`, `${pod} 50000`], 'shrunk at the end');
  assert.deepEqual(updates().slice(1), ['updateContainerResources web quota 50000']);
  assert.deepEqual(await toldBy(bench, 'web'), [
    `Normal ResizeCompleted Pod resize completed: ${summary(2)}`,
    `Normal ResizeCompleted Pod resize completed: ${summary(3)}`,
    `Normal ResizeStarted Pod resize started: ${summary(2)}`,
    `Normal ResizeStarted Pod resize started: ${summary(3)}`,
  ]);
});

test('what others have is waited for; what the node never had is not given', async () => {
  await using bench = await KubeletBench.open(lenient);
  const { client, signal } = bench;
  const whole = (memory: string) => ({ requests: { memory }, limits: { memory } });
  await bench.advance(1000);
  const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
  const all = quantityValue(node.status?.allocatable?.['memory'] ?? '');
  const tenths = (count: number) => `${Math.floor((all / 10 / 2 ** 20) * count)}Mi`;
  const bytes = (text: string) => quantityValue(text);
  for (const name of ['web', 'db']) await bench.create(name, { resources: whole(tenths(4)) });
  for (const name of ['web', 'db']) await bench.untilReady(name);
  const at = { namespace: 'default', name: 'web' };
  const options = { type: 'strategic', subresource: 'resize', signal } as const;
  const resize = (memory: string) =>
    bench.while(client.patch(pods, at, { spec: { resources: whole(memory) } }, options));
  const untilPending = (reason: string) =>
    bench.until('web', (_, one) => conditionOf(one, 'PodResizePending')?.reason === reason);
  await resize(tenths(11));
  await untilPending('Infeasible');
  await resize(tenths(7));
  const held = await untilPending('Deferred');
  const { message = '', observedGeneration } = conditionOf(held, 'PodResizePending') ?? {};
  const figures = `requested: ${bytes(tenths(7))}, used: ${bytes(tenths(4))}, capacity: ${all}`;
  assert.equal(message, `Node didn't have enough resource: memory, ${figures}`);
  assert.equal(observedGeneration, 3);
  assert.deepEqual(held.status?.allocatedResources, { memory: tenths(4) });
  assert.deepEqual(held.status?.resources, whole(tenths(4)));
  assert.deepEqual(bench.quotas, [], 'nothing has been changed');
  await bench.advance(30_000);
  const waiting = await toldBy(bench, 'web');
  assert.deepEqual(
    waiting.map((text) => text.split(':')[0]),
    [
      'Warning ResizeDeferred Pod resize Deferred',
      'Warning ResizeInfeasible Pod resize Infeasible',
    ],
    'told once each',
  );
  assert.ok(waiting[0]?.endsWith(`"generation":3,"error":${JSON.stringify(message)}}`));
  await bench.while(client.delete(pods, { ...at, name: 'db' }, { signal }));
  await bench.until('web', (_, one) => one.status?.resources?.limits?.['memory'] === tenths(7));
  await bench.until('web', (_, one) => conditionOf(one, 'PodResizePending') === undefined);
  assert.deepEqual(
    (await toldBy(bench, 'web')).slice(0, -2).map((text) => text.split(':')[0]),
    ['Normal ResizeCompleted Pod resize completed', 'Normal ResizeStarted Pod resize started'],
  );
});

test('a resize reaches the container without a restart, and the status tells', async () => {
  await using bench = await KubeletBench.open(lenient);
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
  await using bench = await KubeletBench.open(lenient);
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
  const [, error = '', ...more] = await toldBy(bench, 'web');
  assert.ok(error.startsWith('Warning ResizeError Pod resize error: {"containers":[{"name":"web"'));
  assert.ok(error.endsWith(`"error":${JSON.stringify(problem(held)?.message)}}`));
  assert.deepEqual(more, []);
  runtime.memoryUse.set('web', 2 ** 20);
  const wanted = JSON.stringify(resources('32Mi'));
  const later = await bench.until('web', (one) => JSON.stringify(one.resources) === wanted);
  assert.equal(problem(later), undefined);
});

test('of several that wait for room the most important is given it first', async () => {
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  const cpu = (amount: string) => ({ requests: { cpu: amount } });
  // Two processors, of which one pod has the most.
  await bench.create('first', { resources: cpu('1500m') });
  const classes = { normal: undefined, important: 'system-node-critical' } as const;
  for (const [name, priorityClassName] of Object.entries(classes)) {
    const of = priorityClassName === undefined ? {} : { priorityClassName };
    await bench.create(name, { ...of, resources: cpu('100m') });
  }
  const memory = '64Mi';
  const exactly = (amount: string) => ({
    requests: { cpu: amount, memory },
    limits: { cpu: amount, memory },
  });
  await bench.create('exact', { resources: exactly('100m') });
  const names = ['normal', 'exact', 'important'];
  for (const name of ['first', ...names]) await bench.untilReady(name);
  const options = { type: 'strategic', subresource: 'resize', signal } as const;
  for (const name of names) {
    const resources = name === 'exact' ? exactly('1500m') : cpu('1500m');
    const at = { namespace: 'default', name };
    await bench.while(client.patch(pods, at, { spec: { resources } }, options));
    await bench.until(name, (_, one) => reasonOf(one) === 'Deferred');
  }
  const given: string[] = [];
  for (const [gone, next] of [
    ['first', 'important'],
    ['important', 'exact'],
    ['exact', 'normal'],
  ] as const) {
    await bench.while(client.delete(pods, { namespace: 'default', name: gone }, { signal }));
    await bench.until(next, (_, one) => one.status?.resources?.requests?.['cpu'] === '1500m');
    given.push(next);
    await bench.advance(30_000);
    const left = names.filter((name) => !given.includes(name));
    for (const name of left) assert.equal(reasonOf(await bench.get(name)), 'Deferred', name);
  }
});

test('the memory of a container that may use swap is not changed in place', async () => {
  const cgroupFiles = { 'memory.swap.max': '0', 'memory.current': '0' };
  const settings = { swapBehavior: 'LimitedSwap' } as const;
  await using bench = await KubeletBench.open({ cgroupFiles, settings });
  const { client, signal } = bench;
  const memory = (amount: string) => ({ requests: { memory: amount }, limits: { memory: '2Gi' } });
  const image = testImage;
  const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }];
  await bench.create('web', {
    containers: [
      { name: 'web', image, resources: memory('100Mi') },
      { name: 'anew', image, resources: memory('100Mi'), resizePolicy },
    ],
  });
  await bench.untilReady('web');
  const at = { namespace: 'default', name: 'web' };
  const resize = (name: string, resources: object) => {
    const body = { spec: { containers: [{ name, resources }] } };
    const options = { type: 'strategic', subresource: 'resize', signal } as const;
    return bench.while(client.patch(pods, at, body, options));
  };
  await resize('web', memory('200Mi'));
  const held = await bench.until('web', (_, one) => reasonOf(one) === 'Infeasible');
  const { message } = conditionOf(held, 'PodResizePending') ?? {};
  assert.equal(message, 'In-place resize of containers with swap is not supported.');
  await resize('web', { ...memory('100Mi'), limits: { memory: '3Gi' } });
  await bench.until('web', (one, pod) => {
    return one.resources?.limits?.['memory'] === '3Gi' && reasonOf(pod) === undefined;
  });
  await resize('anew', memory('300Mi'));
  const has = (one: Pod) =>
    one.status?.containerStatuses?.find(({ name }) => name === 'anew')?.restartCount === 1;
  await bench.until('web', (_, one) => has(one) && reasonOf(one) === undefined);
});
