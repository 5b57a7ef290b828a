/** What every object must say, how lists look, and how events of the same failure are one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';

const space = '/api/v1/namespaces/default';
const spec = { containers: [{ name: 'main', image: 'nginx:1' }] };

async function open(): Promise<TestServer> {
  const server = await openTestServer();
  const account = { metadata: { name: 'default' } };
  await server.request('POST', `${space}/serviceaccounts`, account);
  return server;
}

test('an object has a kind, a version, a name and a spec', async () => {
  superseded('API-024', {
    by: 'v1.2',
    now: 'kind and version that are not given are those of the path; name and spec are required',
  });
  await using server = await open();
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'whole' }, spec };
  const post = (body: object) => server.request('POST', `${space}/pods`, body);
  const whole = await post(pod);
  assert.equal(whole.status, 201);
  assert.match(whole.body.metadata.uid, /^[0-9a-f-]{36}$/);
  const bare = await post({ metadata: { name: 'bare' }, spec });
  assert.deepEqual([bare.status, bare.body.kind, bare.body.apiVersion], [201, 'Pod', 'v1']);
  assert.equal((await post({ ...pod, kind: 'Service' })).status, 400);
  assert.equal((await post({ ...pod, apiVersion: 'apps/v1' })).status, 400);
  const { name: _, ...nameless } = { ...pod.metadata };
  const unnamed = await post({ ...pod, metadata: nameless });
  assert.equal(unnamed.status, 422);
  assert.match(unnamed.body.message, /metadata\.name: Required value: name or generateName is/);
  const { spec: __, ...empty } = { ...pod, metadata: { name: 'empty' } };
  const unspecified = await post(empty);
  assert.equal(unspecified.status, 422);
  assert.match(unspecified.body.message, /spec\.containers: Required value/);
});

test('Jobs that bring their selector ask for the same', async () => {
  covers('API-043');
  await using server = await open();
  const labels = { app: 'web', tier: 'front' };
  const template = { metadata: { labels }, spec: { ...spec, restartPolicy: 'Never' } };
  const post = async (matchExpressions: readonly object[]): Promise<number> => {
    const selector = { matchLabels: { app: 'web' }, matchExpressions };
    const body = { metadata: { generateName: 'x-' }, spec: { selector, template } };
    const path = '/apis/batch/v1/namespaces/default/jobs';
    const manual = { ...body, spec: { ...body.spec, manualSelector: true } };
    return (await server.request('POST', path, manual)).status;
  };
  const tier = (operator: string, ...values: readonly string[]) => ({
    ...{ key: 'tier', operator },
    ...(values.length > 0 ? { values } : {}),
  });
  const [front, absent] = [tier('In', 'front'), { key: 'old', operator: 'DoesNotExist' }];
  assert.equal(await post([front, tier('NotIn', 'back'), tier('Exists'), absent]), 201);
  // Each of them has to hold.
  assert.equal(await post([front, tier('NotIn', 'front')]), 422);
  assert.equal(await post([front, tier('DoesNotExist')]), 422);
  for (const operator of ['In', 'NotIn']) assert.equal(await post([tier(operator)]), 422, operator);
});

test('controllers ask for templates that fit: who they belong to, and started again', async () => {
  covers('API-043', 'API-066', 'API-067');
  await using server = await open();
  const labels = { app: 'web' };
  const kinds = ['deployments', 'replicasets', 'daemonsets', 'replicationcontrollers'];
  const post = (kind: string, own: object, podSpec: object, selector: object) => {
    const isOld = kind === 'replicationcontrollers';
    const base = isOld ? space : '/apis/apps/v1/namespaces/default';
    const template = { metadata: { labels: own }, spec: { ...spec, ...podSpec } };
    const of = isOld ? labels : { matchLabels: labels, ...selector };
    const body = { metadata: { generateName: 'x-' }, spec: { selector: of, template } };
    return server.request('POST', `${base}/${kind}`, body);
  };
  for (const kind of kinds) {
    assert.equal((await post(kind, labels, {}, {})).status, 201, kind);
    for (const restartPolicy of ['Never', 'OnFailure']) {
      const refused = await post(kind, labels, { restartPolicy }, {});
      assert.equal(refused.status, 422, kind);
      assert.match(refused.body.message, /restartPolicy: Unsupported value: .* values: "Always"/);
    }
    const stranger = await post(kind, { app: 'other' }, {}, {});
    assert.equal(stranger.status, 422, kind);
    assert.match(stranger.body.message, /`selector` does not match template `labels`/, kind);
    if (kind === 'replicationcontrollers') continue;
    const expressions = (operator: string, ...values: readonly string[]) => ({
      matchExpressions: [{ key: 'tier', operator, ...(values.length > 0 ? { values } : {}) }],
    });
    const own = { ...labels, tier: 'front' };
    for (const [selector, status] of [
      ...[[expressions('In', 'front', 'back'), 201] as const, [expressions('In'), 422] as const],
      ...[[expressions('NotIn', 'back'), 201] as const, [expressions('NotIn'), 422] as const],
      ...[[expressions('Exists'), 201] as const, [expressions('Exists', 'front'), 422] as const],
      ...[[expressions('DoesNotExist'), 422] as const, [expressions('In', 'back'), 422] as const],
    ]) {
      const answer = await post(kind, own, {}, selector);
      assert.equal(answer.status, status, `${kind} ${JSON.stringify(selector)}`);
    }
  }
});

test('a list of pods has a revision, and its items say what their names come from', async () => {
  superseded('API-128', { by: 'v1.20', now: 'the same, without selfLink' });
  await using server = await open();
  const path = `${space}/pods`;
  await server.request('POST', path, { metadata: { generateName: 'web-' }, spec });
  const { body } = await server.request('GET', path);
  assert.deepEqual([body.kind, body.apiVersion], ['PodList', 'v1']);
  assert.match(body.metadata.resourceVersion, /^\d+$/);
  assert.equal('selfLink' in body.metadata, false);
  const [item] = body.items;
  assert.equal(item.metadata.generateName, 'web-');
  assert.match(item.metadata.name, /^web-[a-z0-9]{5}$/);
  assert.equal('selfLink' in item.metadata, false);
});

test('a failure that repeats itself is one event that counts', async () => {
  covers('API-127');
  await using bench = await KubeletBench.open();
  await bench.create('web', { containers: [bench.container({ image: 'example.com/gone:1' })] });
  const selector = 'fieldSelector=reason=Failed,involvedObject.name=web';
  const path = `${space}/events?${selector}`;
  const failed = /^Failed to pull image "example.com\/gone:1"/;
  const look = async () => {
    const { body } = await bench.while(bench.server.request('GET', path));
    return body.items.filter(({ message }: { message: string }) => failed.test(message));
  };
  let events = await look();
  for (let round = 0; round < 300 && (events[0]?.count ?? 0) < 7; round++) {
    await bench.advance(5000);
    events = await look();
  }
  assert.equal(events.length, 1, 'all of them are one');
  const [event] = events;
  assert.equal(event.count, 7);
  assert.deepEqual([event.type, event.reason], ['Warning', 'Failed']);
  assert.deepEqual(event.source, { component: 'kubelet', host: 'node-1' });
  assert.equal(event.involvedObject.fieldPath, 'spec.containers{web}');
  const [first, last] = [Date.parse(event.firstTimestamp), Date.parse(event.lastTimestamp)];
  assert.ok(last - first >= 60_000, `${event.firstTimestamp} ${event.lastTimestamp}`);
  // As people see it.
  const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
  const table = await bench.while(bench.server.request('GET', path, undefined, { headers }));
  const names: string[] = table.body.columnDefinitions.map(({ name }: { name: string }) => name);
  const shownRows: { cells: unknown[] }[] = table.body.rows;
  const cells = shownRows.map((row) => row.cells).find((row) => row.includes(event.message)) ?? [];
  const shown = (name: string) => cells[names.indexOf(name)];
  assert.deepEqual(['Count', 'Reason', 'Subobject', 'Source', 'Object', 'Message'].map(shown), [
    7,
    'Failed',
    'spec.containers{web}',
    'kubelet, node-1',
    'pod/web',
    event.message,
  ]);
  assert.match(String(shown('First Seen')), /^\d+m/);
  assert.match(String(shown('Last Seen')), /^\d+s/);
});
