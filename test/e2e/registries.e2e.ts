/**
 * Images from registries that want to know who asks: Secrets of pods, the node's own logins,
 * plugins, mirrors with certificates of their own; and who may have what is already here.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { ClusterProcess } from '#test/cluster-process.ts';
import { covers, superseded } from '#test/covers.ts';
import { HttpProxy } from '#test/http-proxy.ts';
import { TestRegistry } from '#test/registry.ts';

interface PodView {
  readonly status: {
    readonly phase: string;
    readonly containerStatuses?: readonly {
      readonly imageID: string;
      readonly state: { readonly waiting?: { readonly reason: string; readonly message: string } };
    }[];
  };
}

const login = { username: 'team', password: 'a secret' };
const other = { username: 'other', password: 'another secret' };

/** Runs to its end at once. */
function pod(name: string, images: readonly string[], more = ''): string {
  const containers = images.map(
    (image, index) => `  - { name: c${index}, image: "${image}", command: ["true"] }`,
  );
  const metadata = `metadata: { name: ${name} }`;
  const spec = `spec:\n  restartPolicy: Never\n${more}  containers:\n${containers.join('\n')}`;
  return `apiVersion: v1\nkind: Pod\n${metadata}\n${spec}\n---\n`;
}

const withSecrets = (...names: readonly string[]): string =>
  `  imagePullSecrets: [${names.map((name) => `{ name: ${name} }`).join(', ')}]\n`;

test('registries', { timeout: 480_000 }, async (t) => {
  const nowMs = systemClock().now();
  const times = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_600_000 };
  const deps = { random: systemRandom() };
  const issuer = issueCertificate(deps, { commonName: 'registry-ca', role: 'ca', ...times });
  const tls = issueCertificate(deps, {
    ...{ commonName: 'registry', role: 'server', ipAddresses: ['127.0.0.1'], issuer, ...times },
  });
  await using own = await TestRegistry.open({ login });
  await using second = await TestRegistry.open({ login: other });
  await using mirror = await TestRegistry.open({ login: other, tls });
  await using asked = await TestRegistry.open({ login });
  await using open = await TestRegistry.open();
  await using proxy = await HttpProxy.open({
    'behind-a-proxy.test:5000': open.host,
    'behind-a-proxy.test:5443': mirror.host,
  });
  const folder = process.env['CORACLE_IMAGES'] ?? '.cache/images';
  const file = readdirSync(folder).find((name) => name.startsWith('busybox-')) ?? '';
  const digest = own.add('team/app', '1', join(folder, file));
  for (const registry of [own, second, mirror, asked, open])
    registry.add('a/b', 'tag', join(folder, file));
  for (const tag of ['1', 'latest']) mirror.add('library/mirrored', tag, join(folder, file));

  const flags: string[] = ['--no-kubeconfig'];
  // Nothing but what the registries have.
  const none = mkdtempSync(join(tmpdir(), 'coracle-e2e-'));
  t.after(() => rmSync(none, { recursive: true }));
  const environment = {
    HTTP_PROXY: proxy.url,
    HTTPS_PROXY: proxy.url,
    NO_PROXY: 'not-proxied.test,10.0.0.0/8',
  };
  await using cluster = await ClusterProcess.open({ flags, imagesFolder: none, environment });
  const write = (name: string, text: string, mode = 0o644): string => {
    const path = join(cluster.folder, name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text, { mode });
    return path;
  };
  write('registry-ca.crt', issuer.cert);
  flags.push(
    '--private-registry',
    write(
      'registries.yaml',
      `mirrors:
  docker.io: { endpoint: ["https://${mirror.host}"] }
  "behind-a-proxy.test:5000": { endpoint: ["http://behind-a-proxy.test:5000"] }
configs:
  "${mirror.host}":
    auth: { username: ${other.username}, password: ${other.password} }
    tls: { ca_file: registry-ca.crt }
  "behind-a-proxy.test:5443":
    auth: { username: ${other.username}, password: ${other.password} }
    tls: { insecure_skip_verify: true }
`,
    ),
  );
  const answer = {
    ...{ kind: 'CredentialProviderResponse', apiVersion: 'credentialprovider.kubelet.k8s.io/v1' },
    ...{ cacheKeyType: 'Registry', auth: { [asked.host]: login } },
  };
  write(
    'plugins/ask',
    `#!/bin/sh\ncat >> ${cluster.folder}/requests\ncat <<'E'\n${JSON.stringify(answer)}\nE\n`,
    0o755,
  );
  flags.push('--image-credential-provider-bin-dir', join(cluster.folder, 'plugins'));
  flags.push(
    '--image-credential-provider-config',
    write(
      'plugins.yaml',
      `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: ask
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["${asked.host}"]
  defaultCacheDuration: 1h
`,
    ),
  );
  const apply = async (text: string): Promise<void> => {
    const { code, stderr } = await cluster.kubectlWith({ input: text }, 'apply', '-f', '-');
    assert.equal(code, 0, stderr);
  };
  const view = async (name: string): Promise<PodView> =>
    // kubectl prints what the API server gave.
    JSON.parse(await cluster.kubectl('get', 'pod', name, '-o', 'json')) as PodView;
  const succeeds = async (name: string): Promise<PodView> => {
    let last: PodView | undefined;
    await cluster.until(
      async () => {
        last = await view(name);
        return last.status.phase === 'Succeeded';
      },
      { what: () => `${name} has run: ${JSON.stringify(last?.status)}`, limitMs: 60_000 },
    );
    return last ?? view(name);
  };
  const waits = async (name: string, reason: string): Promise<string> => {
    let waiting: { readonly reason: string; readonly message: string } | undefined;
    await cluster.until(
      async () => {
        waiting = (await view(name)).status.containerStatuses?.[0]?.state.waiting;
        return waiting?.reason === reason;
      },
      { what: () => `${name} waits for ${reason}: ${JSON.stringify(waiting)}`, limitMs: 60_000 },
    );
    return waiting?.message ?? '';
  };
  const secret = (name: string, host: string, of: typeof login, namespace = 'default') =>
    cluster.kubectl(
      ...['create', 'secret', 'docker-registry', name, '-n', namespace, '--docker-server', host],
      ...['--docker-username', of.username, '--docker-password', of.password],
    );
  const image = `${own.host}/team/app:1`;

  await t.test('a cluster comes up', async () => {
    await cluster.up();
  });
  await t.test('without a login there is no image', async () => {
    await apply(pod('stranger', [image]));
    const message = await waits('stranger', 'ImagePullBackOff');
    const start = `Back-off pulling image "${image}": ErrImagePull: rpc error: code = Unknown desc = `;
    assert.ok(message.startsWith(start), message);
    assert.match(message, /authorization failed|401 Unauthorized/);
    await secret('elsewhere', own.host, login, 'kube-public');
    await apply(pod('foreign', [image], withSecrets('elsewhere')));
    await waits('foreign', 'ImagePullBackOff');
    const told = /Unable to retrieve some image pull secrets \(elsewhere\); attempting to/;
    const events = ['get', 'events', '-o', 'jsonpath={.items[*].message}'];
    await cluster.until(async () => told.test(await cluster.kubectl(...events)), {
      what: 'it is told why',
      limitMs: 60_000,
    });
    assert.equal(own.asked('team/app'), 0);
    covers('POD-069');
  });
  await t.test('with a Secret there is, also by its digest', async () => {
    await secret('own', own.host, login);
    await apply(pod('member', [image], withSecrets('own')));
    const { status } = await succeeds('member');
    assert.ok(status.containerStatuses?.[0]?.imageID.endsWith(digest), JSON.stringify(status));
    await apply(pod('pinned', [`${own.host}/team/app@${digest}`], withSecrets('own')));
    await succeeds('pinned');
    covers('RUN-021', 'RUN-026', 'RUN-017');
    const made = JSON.parse(await cluster.kubectl('get', 'secret', 'own', '-o', 'json'));
    assert.equal(made.type, 'kubernetes.io/dockerconfigjson');
    const { auths } = JSON.parse(Buffer.from(made.data['.dockerconfigjson'], 'base64').toString());
    const auth = Buffer.from(`${login.username}:${login.password}`).toString('base64');
    assert.deepEqual(auths, { [own.host]: { ...login, auth } });
    const file = write('old-login.json', JSON.stringify(auths));
    await cluster.kubectl(
      ...['create', 'secret', 'generic', 'old', '--type=kubernetes.io/dockercfg'],
      `--from-file=.dockercfg=${file}`,
    );
    await apply(pod('old', [image], withSecrets('old')));
    await succeeds('old');
    const now = 'the command makes kubernetes.io/dockerconfigjson; the older type is read as well';
    superseded('CFG-016', { by: 'v1.9', now });
  });
  await t.test('what one Secret brought is not for others', async () => {
    await apply(pod('neighbour', [image], '  # IfNotPresent is what the tag means.\n'));
    await waits('neighbour', 'ImagePullBackOff');
    await apply(pod('again', [image], withSecrets('own')));
    await succeeds('again');
  });
  await t.test('a pod may have several, and the node its own', async () => {
    const images = [`${own.host}/a/b:tag`, `${second.host}/a/b:tag`];
    await secret('second', second.host, other);
    await apply(pod('several', images, withSecrets('own', 'second')));
    await succeeds('several');
    const auth = Buffer.from(`${other.username}:${other.password}`).toString('base64');
    write('.docker/config.json', JSON.stringify({ auths: { [second.host]: { auth } } }));
    await apply(pod('node-login', [`${second.host}/a/b:tag`]));
    await succeeds('node-login');
    await apply(pod('both', images, withSecrets('own')));
    await succeeds('both');
    covers('POD-064', 'POD-068', 'POD-070');
  });
  await t.test('a Job pulls with the Secret of its account', async () => {
    const patch = '{"imagePullSecrets":[{"name":"own"}]}';
    await cluster.kubectl('patch', 'serviceaccount', 'default', '-p', patch);
    await cluster.kubectl('create', 'job', 'work', `--image=${image}`, '--', 'true');
    await cluster.kubectl('wait', '--for=condition=Complete', 'job/work', '--timeout=60s');
    await cluster.kubectl('patch', 'serviceaccount', 'default', '-p', '{"imagePullSecrets":null}');
    covers('OTH-019');
  });
  await t.test('a mirror with its own authority and login', async () => {
    await apply(pod('mirrored', ['mirrored:1', 'mirrored']));
    await succeeds('mirrored');
    assert.ok(mirror.asked('library/mirrored') > 0);
    covers('RUN-014');
  });
  await t.test('through the proxy of the environment, or past it', async () => {
    const hosts = ['behind-a-proxy.test:5000', 'behind-a-proxy.test:5443'];
    await apply(
      pod(
        'proxied',
        hosts.map((host) => `${host}/a/b:tag`),
      ),
    );
    await apply(pod('not-proxied', ['not-proxied.test:5000/a/b:tag']));
    await succeeds('proxied');
    assert.match(
      proxy.asked.join('\n'),
      /^(GET|HEAD) http:\/\/behind-a-proxy\.test:5000\/v2\/a\/b\//m,
    );
    assert.ok(proxy.asked.includes(`CONNECT ${hosts[1]}`), proxy.asked.join('\n'));
    // Nobody knows that name.
    assert.match(await waits('not-proxied', 'ImagePullBackOff'), /lookup not-proxied\.test/);
    assert.doesNotMatch(proxy.asked.join(), /not-proxied/);
    covers('RUN-009', 'RUN-007');
  });
  await t.test('a plugin knows a login', async () => {
    await apply(pod('plugin', [`${asked.host}/a/b:tag`]));
    await succeeds('plugin');
    assert.ok(asked.asked('a/b') > 0);
  });
  await t.test('stop', () => cluster.stop());
});
