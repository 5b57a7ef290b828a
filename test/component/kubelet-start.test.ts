/**
 * How a pod starts and ends: what is done beside what, what is left when part of it fails, and how
 * little the runtime is asked.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { events, serviceAccounts } from '#resources/kinds.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';

const namespace = 'default';

test('a sandbox begun while a token is issued goes when that is refused, and comes after it then', async () => {
  await using bench = await KubeletBench.open();
  const { client, runtime, signal } = bench;
  await bench.create('first');
  await bench.untilReady('first');
  await bench.create('second', { nodeName: '' });
  const account = { namespace, name: 'default' };
  await bench.while(client.delete(serviceAccounts, account, { signal }));
  await bench.while(
    bench.server.request('POST', `/api/v1/namespaces/${namespace}/pods/second/binding`, {
      ...{ apiVersion: 'v1', kind: 'Binding', metadata: { name: 'second' } },
      target: { kind: 'Node', name: 'node-1' },
    }),
  );
  await bench.advance(5000);
  const begun = (): number =>
    runtime.calls.filter((call) => call === 'runPodSandbox second').length;
  assert.equal(begun(), 1, 'only the first try is made beside the token');
  assert.equal(runtime.sandboxCount, 1, 'nothing of it is left');
  const told = await bench.while(client.list(events, { namespace, signal }));
  assert.ok(told.items.some(({ reason }) => reason === 'FailedMount'));
  assert.equal((await bench.get('second')).status?.podIP, undefined);
  await bench.while(
    client.create(
      serviceAccounts,
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account },
      { signal },
    ),
  );
  await bench.untilReady('second');
  assert.equal(begun(), 2);
});

test('lists of the runtime do not have a pod looked at anew while it is being made', async () => {
  await using bench = await KubeletBench.open();
  const { clock, runtime, signal } = bench;
  const start = runtime.startContainer.bind(runtime);
  runtime.startContainer = async (id) => {
    // Two lists come meanwhile.
    await clock.sleep(12_000, { signal });
    await start(id);
  };
  const { metadata } = await bench.create('slow');
  await bench.untilReady('slow');
  const whole = `listContainers ${metadata.uid}`;
  assert.ok(!runtime.questions.includes(whole), 'only what was made is asked for');
  await bench.advance(6000);
  assert.ok(!runtime.questions.includes(whole), 'nor is it news later');
  runtime.exit('web', 1);
  await bench.until('slow', ({ restartCount }) => restartCount === 1);
  assert.ok(runtime.questions.includes(whole));
});

test('a runtime that is slow to see an end is asked ever less often whether it has', async () => {
  await using bench = await KubeletBench.open();
  const { clock, runtime } = bench;
  await bench.create('slow');
  await bench.untilReady('slow');
  const ask = runtime.containerStatus.bind(runtime);
  const seenMs = clock.monotonic() + 1000;
  let asked = 0;
  runtime.containerStatus = async (id) => {
    if (clock.monotonic() >= seenMs) return ask(id);
    asked += 1;
    return { ...(await ask(id)), state: 'CONTAINER_RUNNING' };
  };
  runtime.exit('web', 1);
  await bench.until('slow', ({ restartCount }) => restartCount === 1);
  assert.ok(asked > 3 && asked < 10, `asked ${asked} times`);
});

test('pods for which an answer is waited for hold up no other', async () => {
  await using bench = await KubeletBench.open();
  bench.isUnanswered = (path) => path.includes('nowhere');
  const envFrom = [{ configMapRef: { name: 'nowhere' } }];
  // More than there are containers made at a time.
  for (let index = 0; index < 10; index++) {
    await bench.create(`held-${index}`, { containers: [bench.container({ envFrom })] });
  }
  await bench.advance(2000);
  const startedMs = bench.clock.now();
  await bench.create('free');
  await bench.untilReady('free');
  assert.ok(bench.clock.now() - startedMs < 10_000);
});
