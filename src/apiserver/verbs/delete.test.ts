/**
 * What a client is told of a deletion: that dependants stay, and how the object looked at its end.
 * The decision itself is proved with the other verbs.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer } from '#test/fixtures.ts';

test('a deletion says that pods of a Job stay, and shows the end of a pod that goes at once', async () => {
  await using server = await openTestServer();
  const spec = { containers: [{ name: 'main', image: 'x:1' }] };
  const jobs = '/apis/batch/v1/namespaces/default/jobs';
  const template = { spec: { ...spec, restartPolicy: 'Never' } };
  const job = { metadata: { name: 'j' }, spec: { template } };
  assert.equal((await server.request('POST', jobs, job)).status, 201);
  const silent = await server.request('DELETE', `${jobs}/j?dryRun=All`);
  assert.match(String(silent.headers['warning']), /child pods are preserved by default/);
  const told = await server.request('DELETE', `${jobs}/j?dryRun=All&propagationPolicy=Orphan`);
  assert.equal(told.headers['warning'], undefined);
  const namespace = '/api/v1/namespaces/default';
  const account = { metadata: { name: 'default' } };
  await server.request('POST', `${namespace}/serviceaccounts`, account);
  const pods = `${namespace}/pods`;
  assert.equal((await server.request('POST', pods, { metadata: { name: 'p' }, spec })).status, 201);
  const { metadata } = (await server.request('DELETE', `${pods}/p`)).body;
  assert.equal(metadata.deletionGracePeriodSeconds, 0);
  assert.equal(typeof metadata.deletionTimestamp, 'string');
  assert.equal(metadata.generation, 2);
});
