/**
 * Rows of the documents that take a kubelet and the columns of the API: the kubelet against a real
 * API server, with containers in memory and time moved by hand.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { openInformers } from '#client';
import { GrpcError } from '#cri';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { podColumns } from '#resources/core/pod/columns.ts';
import { configMaps, events, nodes, pods } from '#resources/kinds.ts';
import { covers, superseded } from '#test/covers.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';

const podsPath = '/api/v1/namespaces/default/pods';

/** Cells of the object's row, as `kubectl get` prints them. */
async function rowOf(bench: KubeletBench, path: string): Promise<readonly unknown[]> {
  const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
  const { body } = await bench.while(bench.server.request('GET', path, undefined, { headers }));
  return body.rows[0].cells;
}

test('a node that was made by hand has an unknown status until its kubelet tells', async () => {
  covers('API-016');
  await using bench = await KubeletBench.open();
  await bench.advance(1000);
  await bench.stop();
  const { client, signal } = bench;
  const name = 'node-1';
  await bench.while(client.delete(nodes, { name }, { signal }));
  const made = await bench.while(
    bench.server.request('POST', '/api/v1/nodes', {
      ...{ apiVersion: 'v1', kind: 'Node' },
      metadata: { name, labels: { name: 'fed-node-label' } },
      spec: { externalID: 'fed-node' },
    }),
  );
  assert.equal(made.status, 201);
  const status = async () => (await rowOf(bench, `/api/v1/nodes/${name}`)).slice(0, 2);
  await bench.advance(30_000);
  // With controllers it is NotReady a minute after (`whole-cluster-rows.test.ts`).
  assert.deepEqual(await status(), [name, 'Unknown']);
  bench.start();
  await bench.advance(11_000);
  assert.deepEqual(await status(), [name, 'Ready']);
  const node = await bench.while(client.get(nodes, { name }, { signal }));
  assert.equal(node.metadata.uid, made.body.metadata.uid, 'the same object');
  assert.equal(node.metadata.labels?.['name'], 'fed-node-label');
});

test('forced away, a pod is gone from the API at once and ends softly on its node', async () => {
  covers('API-060');
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  const before = await bench.create('web', { terminationGracePeriodSeconds: 60 });
  await bench.untilReady('web');
  const force = () =>
    bench.while(bench.server.request('DELETE', `${podsPath}/web`, { gracePeriodSeconds: 0 }));
  // Nobody on the node confirms it: its kubelet is dead.
  await bench.stop();
  const calls = runtime.calls.length;
  assert.equal((await force()).status, 200);
  await assert.rejects(bench.get('web'), (error) => isReason(error, 'NotFound'));
  const again = await bench.create('web', { terminationGracePeriodSeconds: 60 });
  assert.notEqual(again.metadata.uid, before.metadata.uid);
  assert.equal(runtime.calls.length, calls, 'the old container still runs');
  bench.start();
  await bench.untilReady('web');
  const stops = (from: number) =>
    runtime.calls.slice(from).filter((call) => call.startsWith('stopContainer web'));
  await bench.advance(31_000);
  assert.deepEqual(stops(calls), ['stopContainer web 2s'], 'the first one was ended');
  // With a kubelet that lives: some seconds to end in, although none were given.
  const later = runtime.calls.length;
  assert.equal((await force()).status, 200);
  await bench.advance(5000);
  assert.deepEqual(stops(later), ['stopContainer web 2s']);
});

test('parts of a processor may be said with a point, and are enforced', async () => {
  covers('QUO-043');
  await using bench = await KubeletBench.open();
  const limits = { cpu: '0.1', memory: '0.0625Gi' };
  const made = await bench.create('web', {
    containers: [bench.container({ resources: { limits } })],
  });
  assert.equal(made.spec?.containers?.[0]?.resources?.limits?.['cpu'], '100m');
  await bench.untilReady('web');
  const { cpuQuota, cpuPeriod } = bench.runtime.configOf('web').linux?.resources ?? {};
  assert.deepEqual([Number(cpuQuota), Number(cpuPeriod)], [10_000, 100_000]);
});

test('no node takes its configuration from a ConfigMap any more', async () => {
  const now = {
    'POD-273': 'the field is dropped with a warning, whatever it names',
    'POD-274': 'a kubelet is configured by its file and flags alone, read when it starts',
    'POD-276': 'no ConfigMap is read',
    'POD-277': 'there is no condition about it',
    'POD-278': 'there is nothing to go back from',
    'POD-279': 'a file that cannot be used ends the kubelet at its start',
    'POD-280': 'no ConfigMap is read by any node',
  };
  for (const [id, what] of Object.entries(now)) superseded(id, { by: 'v1.24', now: what });
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  await bench.advance(1000);
  const configured = 'kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n';
  const map = await bench.while(
    client.create(
      configMaps,
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { namespace: 'default', name: 'node-config' },
        data: { kubelet: `${configured}maxPods: 7\n` },
      },
      { signal },
    ),
  );
  const { uid } = map.metadata;
  const configMapRef = { namespace: 'default', name: 'node-config', uid };
  const capacity = async () => {
    const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
    assert.equal(node.spec?.configSource, undefined);
    const conditions = (node.status?.conditions ?? []).map(({ type }) => type);
    assert.deepEqual(conditions.toSorted(), [
      ...['DiskPressure', 'MemoryPressure', 'PIDPressure', 'Ready'],
    ]);
    return node.status?.capacity?.['pods'];
  };
  assert.equal(await capacity(), '110');
  for (const source of [{ configMapRef }, { configMapRef: { name: 'node-config' } }]) {
    const headers = { 'content-type': 'application/merge-patch+json' };
    const patch = { spec: { configSource: source } };
    const answer = await bench.while(
      bench.server.request('PATCH', '/api/v1/nodes/node-1', patch, { headers }),
    );
    assert.equal(answer.status, 200);
    await bench.advance(320_000);
    assert.equal(await capacity(), '110');
  }
  await bench.stop();
  bench.start();
  await bench.advance(11_000);
  assert.equal(await capacity(), '110');
});

test('a container out of memory shows so, and later that it runs again', async () => {
  covers('CLI-149');
  await using bench = await KubeletBench.open();
  const limits = { memory: '100Mi' };
  await bench.create('web', { containers: [bench.container({ resources: { limits } })] });
  await bench.untilReady('web');
  const { client, clock, signal: cancel } = bench;
  const stop = new AbortController();
  const informers = openInformers({ client, clock, random: seededRandom(1), log: silentLog });
  const seen: string[] = [];
  // The rows that `kubectl get pod -w` prints.
  const cells = podColumns().slice(1, 4);
  informers.of(pods).addHandler({
    onUpdate: (pod) => {
      const row = cells.map(({ cell }) => String(cell(pod, clock.now()))).join(' ');
      if (seen.at(-1) !== row) seen.push(row);
    },
  });
  const running = informers.run(AbortSignal.any([stop.signal, cancel])).catch(() => {});
  await bench.advance(100);
  for (const end of [1, 2]) {
    bench.runtime.exit('web', 137, 'OOMKilled');
    await bench.until('web', ({ restartCount, ready }) => restartCount === end && ready);
  }
  await bench.advance(100);
  assert.deepEqual(
    seen.map((row) => row.replace(/ \(.*/, '')),
    [
      '0/1 OOMKilled 0',
      '1/1 Running 1',
      '0/1 CrashLoopBackOff 1',
      '0/1 OOMKilled 1',
      '1/1 Running 2',
    ],
  );
  stop.abort(new Error('the test is over'));
  await running;
});

test('when the disk under the runtime dies, containers are tried again, and the node says so', async () => {
  superseded('POD-107', {
    by: 'v1.13',
    now: 'tried again where they are; the node is not Ready, and in the end its taint drives them away',
  });
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  await bench.create('web', { containers: [bench.container()] });
  const once = { ...bench.container(), name: 'job' };
  await bench.create('job', { restartPolicy: 'Never', containers: [once] });
  for (const name of ['web', 'job']) await bench.untilReady(name);
  const why = 'write /run/containerd: input/output error';
  runtime.createContainer = async () => {
    throw new GrpcError('CreateContainer', 'UNKNOWN', why);
  };
  runtime.status = async () => {
    throw new GrpcError('Status', 'UNKNOWN', why);
  };
  for (const name of ['web', 'job']) runtime.exit(name, 137);
  const pod = await bench.until(
    'web',
    ({ state }) => state?.waiting?.message?.endsWith(why) === true,
  );
  assert.equal(pod.status?.phase, 'Running');
  assert.equal(pod.status?.containerStatuses?.[0]?.state?.waiting?.reason, 'CreateContainerError');
  const job = await bench.until('job', ({ state }) => state?.terminated !== undefined);
  assert.equal(job.status?.phase, 'Failed');
  await bench.advance(60_000);
  const node = await bench.while(client.get(nodes, { name: 'node-1' }, { signal }));
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  assert.deepEqual(
    [ready?.status, ready?.reason, ready?.message],
    ['False', 'KubeletNotReady', `container runtime is down: ${why}`],
  );
  const told = await bench.while(client.list(events, { namespace: 'default', signal }));
  assert.ok(told.items.some(({ reason, note }) => reason === 'Failed' && note === `Error: ${why}`));
});
