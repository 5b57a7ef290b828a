/** Versions that were switched off: not found, not published, and still there underneath. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRuntimeConfig } from '#api/runtime-config.ts';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { openMemoryStore } from '#store';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer, type TestServerOptions } from '#test/fixtures.ts';

function openWith(text: string, given: TestServerOptions = {}): Promise<TestServer> {
  const read = readRuntimeConfig(text);
  assert.ok(read.ok);
  return openTestServer({
    ...given,
    options: { legacyVersions: true, runtimeConfig: read.config },
  });
}

/** Every document that names versions: group versions, as `/v1` and `batch/v1`, sorted. */
async function published(server: TestServer): Promise<Record<string, readonly string[]>> {
  const get = async (path: string, accept = 'application/json') =>
    (await server.request('GET', path, undefined, { headers: { accept } })).body;
  const aggregated = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  interface Group {
    readonly metadata: { readonly name?: string };
    readonly versions: readonly { readonly version: string }[];
  }
  const both: Group[] = [
    ...(await get('/api', aggregated)).items,
    ...(await get('/apis', aggregated)).items,
  ];
  const v3 = Object.keys((await get('/openapi/v3')).paths);
  const paths = Object.keys((await get('/openapi/v2')).paths);
  const ofPath = (path: string): string[] => {
    const [, core, group, version] = /^\/?(?:api\/(\w+)|apis\/([^/]+)\/(\w+))/.exec(path) ?? [];
    if (core !== undefined) return [`/${core}`];
    return version === undefined ? [] : [`${group}/${version}`];
  };
  const sorted = (texts: readonly string[]): readonly string[] => [...new Set(texts)].sort();
  const root: readonly string[] = (await get('/')).paths;
  return {
    aggregated: sorted(
      both.flatMap((group) =>
        group.versions.map(({ version }) => `${group.metadata.name ?? ''}/${version}`),
      ),
    ),
    openApiV2: sorted(paths.flatMap(ofPath)),
    openApiV3: sorted(v3.flatMap(ofPath)),
    root: sorted(root.flatMap(ofPath)),
  };
}

test('a version that is off is 404 and in no document; others go on', async () => {
  covers('API-052');
  await using server = await openWith('batch/v1=false,batch/v2alpha1=true');
  const gone = await server.request('GET', '/apis/batch/v1');
  assert.deepEqual([gone.status, gone.body.reason], [404, 'NotFound']);
  const jobs = await server.request('GET', '/apis/batch/v1/namespaces/default/jobs');
  assert.deepEqual(
    [jobs.status, jobs.body.message],
    [404, 'the server could not find the requested resource'],
  );
  assert.equal((await server.request('GET', '/apis/batch/v2alpha1/cronjobs')).status, 200);
  const { body: group } = await server.request('GET', '/apis/batch');
  assert.deepEqual(
    group.versions.map(({ version }: { version: string }) => version),
    ['v1beta1', 'v2alpha1'],
  );
  for (const [document, versions] of Object.entries(await published(server))) {
    assert.equal(versions.includes('batch/v1'), false, `batch/v1 in ${document}`);
    assert.equal(versions.includes('batch/v2alpha1'), true, `batch/v2alpha1 in ${document}`);
  }
});

test('all but one version: api/all=false,api/v1=true', async () => {
  covers('API-141');
  await using server = await openWith('api/all=false,api/v1=true');
  assert.deepEqual(await published(server), {
    aggregated: ['/v1'],
    openApiV2: ['/v1'],
    openApiV3: ['/v1'],
    root: ['/v1'],
  });
  assert.equal((await server.request('GET', '/api/v1/pods')).status, 200);
  assert.equal((await server.request('GET', '/apis/apps/v1/deployments')).status, 404);
  const review = await server.request(
    'POST',
    '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    {},
  );
  assert.equal(review.status, 404);
  await using coreless = await openWith('api/v1=false');
  assert.equal((await coreless.request('GET', '/api/v1/pods')).status, 404);
  assert.equal((await coreless.request('GET', '/apis/apps/v1/deployments')).status, 200);
  await using legacy = await openWith('api/legacy=false');
  assert.equal((await legacy.request('GET', '/apis/extensions/v1beta1/ingresses')).status, 404);
  assert.equal((await legacy.request('GET', '/apis/networking.k8s.io/v1/ingresses')).status, 200);
});

test('a resource that is off, alone in its version', async () => {
  covers('API-054', 'API-073');
  await using server = await openWith(
    'extensions/v1beta1/deployments=false,extensions/v1beta1/ingresses=false,' +
      'apps/v1/statefulsets=false',
  );
  const status = async (path: string) => (await server.request('GET', path)).status;
  assert.equal(await status('/apis/extensions/v1beta1/namespaces/default/deployments'), 404);
  assert.equal(
    await status('/apis/extensions/v1beta1/namespaces/default/deployments/x/scale'),
    404,
  );
  assert.equal(await status('/apis/extensions/v1beta1/namespaces/default/ingresses'), 404);
  assert.equal(await status('/apis/extensions/v1beta1/namespaces/default/replicasets'), 200);
  assert.equal(await status('/apis/apps/v1/namespaces/default/deployments'), 200);
  const { body } = await server.request('GET', '/apis/extensions/v1beta1');
  const names = body.resources.map(({ name }: { name: string }) => name);
  assert.equal(names.includes('deployments'), false);
  assert.equal(names.includes('deployments/scale'), false);
  assert.equal(names.includes('replicasets'), true);
  const made = await server.request('POST', '/apis/apps/v1/namespaces/default/statefulsets', {});
  assert.deepEqual([made.status, made.body.reason], [404, 'NotFound']);
});

test('what is stored stays, and is there again when its version is', async () => {
  const store = openMemoryStore({ clock: systemClock(), log: silentLog });
  const path = '/apis/batch/v1/namespaces/default/cronjobs';
  const cronJob = {
    metadata: { name: 'nightly' },
    spec: {
      schedule: '0 3 * * *',
      jobTemplate: {
        spec: {
          template: {
            spec: { restartPolicy: 'Never', containers: [{ name: 'a', image: 'busybox' }] },
          },
        },
      },
    },
  };
  {
    superseded('WRK-102', { by: 'v1.21', now: 'batch/v1 is on from the start' });
    await using server = await openWith('', { store });
    assert.equal((await server.request('POST', path, cronJob)).status, 201);
  }
  {
    await using server = await openWith('batch/v1=false', { store });
    assert.equal((await server.request('GET', `${path}/nightly`)).status, 404);
    // The same object in a version that is still served.
    const old = path.replace('/v1/', '/v1beta1/');
    const { body } = await server.request('GET', `${old}/nightly`);
    assert.deepEqual([body.apiVersion, body.metadata.name], ['batch/v1beta1', 'nightly']);
  }
  await using server = await openWith('', { store });
  assert.equal((await server.request('GET', `${path}/nightly`)).body.apiVersion, 'batch/v1');
  await store[Symbol.asyncDispose]();
});
