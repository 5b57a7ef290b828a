/**
 * `@kubernetes/client-node`, the client that others write Node programs with, against our server
 * over TLS: list, watch, informer, patch, server-side apply, tokens. Nothing of it is adapted.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ApiException,
  AppsV1Api,
  AuthenticationV1Api,
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  type V1ConfigMap,
  VersionApi,
  Watch,
} from '@kubernetes/client-node';
import { type ApiPort, openApiPort } from '#test/api-port.ts';

const namespace = 'default';

function connect({ kubeconfig }: ApiPort): KubeConfig {
  const config = new KubeConfig();
  config.loadFromString(kubeconfig);
  return config;
}

function configMap(name: string, value: string): V1ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { value } };
}

const isStatus = (code: number) => (error: unknown) =>
  error instanceof ApiException && error.code === code;

test('create, read, list in pages, replace, conflict, delete', async () => {
  await using server = await openApiPort();
  const core = connect(server).makeApiClient(CoreV1Api);
  for (const name of ['a', 'b', 'c']) {
    const made = await core.createNamespacedConfigMap({ namespace, body: configMap(name, '1') });
    assert.ok(made.metadata?.creationTimestamp instanceof Date);
  }
  const first = await core.listNamespacedConfigMap({ namespace, limit: 2 });
  assert.deepEqual(
    first.items.map(({ metadata }) => metadata?.name),
    ['a', 'b'],
  );
  assert.equal(first.metadata?.remainingItemCount, 1);
  const _continue = first.metadata?._continue ?? '';
  const rest = await core.listNamespacedConfigMap({ namespace, limit: 2, _continue });
  assert.deepEqual(
    rest.items.map(({ metadata }) => metadata?.name),
    ['c'],
  );
  const old = await core.readNamespacedConfigMap({ namespace, name: 'a' });
  const body = { ...old, data: { value: '2' } };
  await core.replaceNamespacedConfigMap({ namespace, name: 'a', body });
  const again = core.replaceNamespacedConfigMap({ namespace, name: 'a', body });
  await assert.rejects(again, isStatus(409));
  const taken = core.createNamespacedConfigMap({ namespace, body: configMap('a', '1') });
  await assert.rejects(taken, isStatus(409));
  const gone = await core.deleteNamespacedConfigMap({ namespace, name: 'a' });
  assert.equal(gone.status, 'Success');
  await assert.rejects(core.readNamespacedConfigMap({ namespace, name: 'a' }), isStatus(404));
  await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'none=such' });
  assert.equal((await core.listNamespacedConfigMap({ namespace })).items.length, 2);
});

test('a watch tells what happens from a revision on', async () => {
  await using server = await openApiPort();
  const config = connect(server);
  const core = config.makeApiClient(CoreV1Api);
  await core.createNamespacedConfigMap({ namespace, body: configMap('a', '1') });
  const list = await core.listNamespacedConfigMap({ namespace });
  const seen: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const resourceVersion = list.metadata?.resourceVersion;
  const controller = await new Watch(config).watch(
    `/api/v1/namespaces/${namespace}/configmaps`,
    { resourceVersion, labelSelector: 'skip!=me' },
    (phase: string, object: V1ConfigMap) => {
      seen.push(`${phase} ${object.kind} ${object.metadata?.name} ${object.data?.['value']}`);
      if (phase === 'DELETED') resolve();
    },
    () => resolve(),
  );
  await core.createNamespacedConfigMap({ namespace, body: configMap('b', '1') });
  const body = [{ op: 'replace', path: '/data/value', value: '2' }];
  const asJson = setHeaderOptions('Content-Type', PatchStrategy.JsonPatch);
  await core.patchNamespacedConfigMap({ namespace, name: 'a', body }, asJson);
  await core.deleteNamespacedConfigMap({ namespace, name: 'b' });
  await promise;
  controller.abort();
  assert.deepEqual(seen, [
    'ADDED ConfigMap b 1',
    'MODIFIED ConfigMap a 2',
    'DELETED ConfigMap b 1',
  ]);
});

test('an informer keeps a copy', async () => {
  await using server = await openApiPort();
  const config = connect(server);
  const core = config.makeApiClient(CoreV1Api);
  await core.createNamespacedConfigMap({ namespace, body: configMap('a', '1') });
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const list = () => core.listNamespacedConfigMap({ namespace });
  const informer = makeInformer(config, path, list);
  const events: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  informer.on('add', ({ metadata }) => events.push(`add ${metadata?.name}`));
  informer.on('update', ({ metadata }) => events.push(`update ${metadata?.name}`));
  informer.on('delete', ({ metadata }) => {
    events.push(`delete ${metadata?.name}`);
    resolve();
  });
  await informer.start();
  assert.equal(informer.get('a', namespace)?.data?.['value'], '1');
  await core.createNamespacedConfigMap({ namespace, body: configMap('b', '1') });
  const body = { data: { value: '2' } };
  const asMerge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
  await core.patchNamespacedConfigMap({ namespace, name: 'b', body }, asMerge);
  await core.deleteNamespacedConfigMap({ namespace, name: 'a' });
  await promise;
  await informer.stop();
  assert.deepEqual(events, ['add a', 'add b', 'update b', 'delete a']);
  assert.equal(informer.get('b', namespace)?.data?.['value'], '2');
});

test('patches of all sorts, and apply on the server with a conflict', async () => {
  await using server = await openApiPort();
  const config = connect(server);
  const apps = config.makeApiClient(AppsV1Api);
  const template = {
    metadata: { labels: { app: 'web' } },
    spec: { containers: [{ name: 'main', image: 'nginx:1' }] },
  };
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: { replicas: 1, selector: { matchLabels: { app: 'web' } }, template },
  };
  const name = 'web';
  const patched = async (body: object, strategy: PatchStrategy, more: object = {}) =>
    await apps.patchNamespacedDeployment(
      { namespace, name, body, ...more },
      setHeaderOptions('Content-Type', strategy),
    );
  const apply = (body: object, fieldManager: string, force = false) =>
    patched(body, PatchStrategy.ServerSideApply, { fieldManager, force });
  const made = await apply(deployment, 'one');
  assert.equal(made.metadata?.generation, 1);
  assert.equal(made.metadata?.managedFields?.[0]?.manager, 'one');
  const scaled = { ...deployment, spec: { ...deployment.spec, replicas: 3 } };
  await assert.rejects(apply(scaled, 'two'), isStatus(409));
  assert.equal((await apply(scaled, 'two', true)).spec?.replicas, 3);
  const side = { spec: { template: { spec: { containers: [{ name: 'side', image: 'b' }] } } } };
  const both = await patched(side, PatchStrategy.StrategicMergePatch);
  assert.equal(both.spec?.template.spec?.containers.length, 2);
  const merged = await patched({ spec: { paused: true } }, PatchStrategy.MergePatch);
  assert.equal(merged.spec?.paused, true);
  const scale = await apps.readNamespacedDeploymentScale({ namespace, name });
  assert.deepEqual([scale.kind, scale.spec?.replicas], ['Scale', 3]);
});

test('objects of kinds that are looked up, and a token of a service account', async () => {
  await using server = await openApiPort();
  const config = connect(server);
  const objects = KubernetesObjectApi.makeApiClient(config);
  const account = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'bot', namespace },
  };
  await objects.create(account);
  assert.equal((await objects.read(account)).metadata?.name, 'bot');
  const listed = await objects.list('v1', 'ServiceAccount', namespace);
  assert.equal(listed.items[0]?.metadata?.name, 'bot');
  const core = config.makeApiClient(CoreV1Api);
  const { status } = await core.createNamespacedServiceAccountToken({
    namespace,
    name: 'bot',
    body: { spec: { audiences: [], expirationSeconds: 600 } },
  });
  const bot = new KubeConfig();
  const cluster = config.getCurrentCluster();
  const { token = '' } = status ?? {};
  assert.ok(cluster !== null);
  bot.loadFromClusterAndUser(cluster, { name: 'bot', token });
  const who = await bot.makeApiClient(AuthenticationV1Api).createSelfSubjectReview({ body: {} });
  assert.equal(who.status?.userInfo?.username, `system:serviceaccount:${namespace}:bot`);
  const secrets = bot.makeApiClient(CoreV1Api).listNamespacedSecret({ namespace });
  await assert.rejects(secrets, isStatus(403));
  const version = await config.makeApiClient(VersionApi).getCode();
  assert.deepEqual([version.major, version.minor], ['1', '36']);
});
