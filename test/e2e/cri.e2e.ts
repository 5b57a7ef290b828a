/**
 * Kubelet, containerd and pod network on a real machine: containers live and die, logs and commands
 * come through the node's server, and nothing is restarted when we or containerd are.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { systemClock } from '#kit/clock.ts';
import { readMounts } from '#kit/mounts.ts';
import type { KeyPair } from '#kit/x509.ts';
import { configMaps, secrets } from '#resources/kinds.ts';
import type { ContainerStatus, Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { RealNode } from '#test/real-node.ts';

const timeout = 480_000;
const { signal } = new AbortController();
let node: RealNode;

before(async () => {
  node = await RealNode.open();
  node.startKubelet();
});

after(async () => {
  await node?.[Symbol.asyncDispose]();
});

const forever = 'trap "exit 0" TERM; sleep 1000 & wait';

function mainStatus(pod: Pod): ContainerStatus {
  const [status] = pod.status?.containerStatuses ?? [];
  assert.ok(status !== undefined, 'the pod has a container status');
  return status;
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const clock = systemClock();
  const deadlineMs = clock.monotonic() + 60_000;
  while (!holds()) {
    assert.ok(clock.monotonic() < deadlineMs, `${what}: never came true`);
    await clock.sleep(20, { signal });
  }
}

/** What must stay the same for a container that was adopted. */
function identity(pod: Pod): unknown {
  const { containerID, restartCount, state } = mainStatus(pod);
  return { containerID, restartCount, startedAt: state?.running?.startedAt };
}

test('a pod runs, sees its files and environment, and leaves nothing behind', {
  timeout,
}, async () => {
  covers('POD-032', 'POD-072', 'API-163');
  await node.client.create(
    configMaps,
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace: 'default', name: 'settings' },
      data: { colour: 'green' },
    },
    { signal },
  );
  const command = [
    'echo ip=$IP name=$NAME.$NAMESPACE colour=$colour host=$(cat /etc/hostname)',
    'cat /etc/hosts /config/colour /var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    'echo; id -u; touch /scratch/x && ls /scratch; httpd -p 8080',
    forever,
  ].join('; ');
  await node.create('first', {
    securityContext: { runAsUser: 1000, fsGroup: 2000 },
    volumes: [
      { name: 'config', configMap: { name: 'settings' } },
      { name: 'scratch', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
    ],
    containers: [
      node.container(command, {
        env: [
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          { name: 'NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
        ],
        envFrom: [{ configMapRef: { name: 'settings' } }],
        readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
        volumeMounts: [
          { name: 'config', mountPath: '/config' },
          { name: 'scratch', mountPath: '/scratch' },
        ],
      }),
    ],
  });
  const pod = await node.untilReady('first');
  assert.equal(pod.status?.phase, 'Running');
  // What it has said may be on its way to the log.
  await eventually('all is said', () => /^x$/m.test(node.logText(pod)));
  const text = node.logText(pod);
  const { podIP } = pod.status ?? {};
  const line = `ip=${podIP} name=first.default colour=green host=first`;
  assert.equal(text.split('\n')[0], line);
  assert.match(text, new RegExp(`^${podIP}\tfirst$`, 'm'));
  assert.match(text, /^greenthe ca$/m);
  assert.match(text, /^1000$/m);
  await node.delete('first');
  const uid = pod.metadata.uid ?? '';
  assert.deepEqual(
    readMounts().filter(({ mountPoint }) => mountPoint.includes(uid)),
    [],
  );
  assert.equal(existsSync(join(node.dataDir, 'agent/kubelet/pods', uid)), false);
});

test('a container that ends starts again, and its last words are kept', { timeout }, async () => {
  covers('POD-207', 'POD-210');
  const command = 'echo enough > /dev/termination-log; exit 3';
  await node.create('crash', { containers: [node.container(command)] });
  const isWaiting = ({ status }: Pod): boolean =>
    status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff';
  const status = mainStatus(await node.until('crash', isWaiting, 'in back-off'));
  assert.equal(status.restartCount, 1);
  const { exitCode, reason, message } = status.lastState?.terminated ?? {};
  assert.deepEqual(
    { exitCode, reason, message },
    { exitCode: 3, reason: 'Error', message: 'enough\n' },
  );
  await node.delete('crash');
});

test('running out of memory is told as OOMKilled', { timeout }, async () => {
  await node.create('hungry', {
    restartPolicy: 'Never',
    containers: [node.container('tail /dev/zero', { resources: { limits: { memory: '24Mi' } } })],
  });
  // The reason may be told after the end.
  const isKilled = (each: Pod): boolean =>
    each.status?.phase === 'Failed' && mainStatus(each).state?.terminated?.reason === 'OOMKilled';
  const pod = await node.until('hungry', isKilled, 'killed for its memory');
  assert.equal(mainStatus(pod).state?.terminated?.exitCode, 137);
  await node.delete('hungry');
});

test('init containers come first, one after the other', { timeout }, async () => {
  covers('POD-027', 'POD-174');
  const mount = [{ name: 'shared', mountPath: '/shared' }];
  const step = (name: string) =>
    node.container(`echo ${name} >> /shared/order`, { name, volumeMounts: mount });
  await node.create('ordered', {
    restartPolicy: 'Never',
    volumes: [{ name: 'shared', emptyDir: {} }],
    initContainers: [step('one'), step('two')],
    containers: [node.container('cat /shared/order', { volumeMounts: mount })],
  });
  const pod = await node.until('ordered', ({ status }) => status?.phase === 'Succeeded', 'done');
  assert.equal(node.logText(pod), 'one\ntwo\n');
  await node.delete('ordered');
});

test('a failing liveness probe restarts the container', { timeout }, async () => {
  covers('POD-303');
  await node.create('sick', {
    containers: [
      node.container(`touch /tmp/well; ${forever}`, {
        livenessProbe: {
          exec: { command: ['cat', '/tmp/well'] },
          periodSeconds: 1,
          failureThreshold: 1,
          // A slow answer is none of a sick one.
          timeoutSeconds: 30,
        },
        lifecycle: { postStart: { exec: { command: ['sh', '-c', 'echo began > /tmp/hook'] } } },
      }),
    ],
  });
  const pod = await node.untilReady('sick');
  const before = mainStatus(pod).containerID;
  const containerId = before?.replace('containerd://', '') ?? '';
  const cmd = ['sh', '-c', 'cat /tmp/hook; rm /tmp/well'];
  const hook = await node.runtime.execSync({ containerId, cmd }, { signal, timeoutSeconds: 60 });
  assert.equal(Buffer.from(hook.stdout).toString(), 'began\n');
  const again = await node.until(
    'sick',
    (each) => mainStatus(each).restartCount === 1 && mainStatus(each).ready,
    'restarted',
  );
  assert.notEqual(mainStatus(again).containerID, before);
  await node.delete('sick');
});

test('changed Secrets reach the files of a running pod', { timeout }, async () => {
  const metadata = { namespace: 'default', name: 'key' };
  const secret = (text: string) => ({
    ...{ apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque' },
    data: { value: Buffer.from(text).toString('base64') },
  });
  await node.client.create(secrets, secret('old'), { signal });
  await node.create('reader', {
    volumes: [{ name: 'key', secret: { secretName: 'key', defaultMode: 0o400 } }],
    containers: [node.container(forever, { volumeMounts: [{ name: 'key', mountPath: '/key' }] })],
  });
  const pod = await node.untilReady('reader');
  const file = join(node.dataDir, 'agent/kubelet/memory', pod.metadata.uid ?? '', 'key/value');
  assert.equal(readFileSync(file, 'utf8'), 'old');
  const change = { data: secret('new').data };
  await node.client.patch(secrets, metadata, change, { type: 'merge', signal });
  await eventually('the file is new', () => readFileSync(file, 'utf8') !== 'old');
  const containerId = mainStatus(pod).containerID?.replace('containerd://', '') ?? '';
  const cmd = ['sh', '-c', 'cat /key/value; ls -l /key/..data/value'];
  const seen = await node.runtime.execSync({ containerId, cmd }, { signal, timeoutSeconds: 60 });
  assert.match(Buffer.from(seen.stdout).toString(), /^new-r--------/);
  await node.delete('reader');
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

function ask(path: string, identity?: KeyPair): Promise<Answer> {
  const { ca } = node.certificates;
  return new Promise((resolve, reject) => {
    const options = {
      ...{ host: '127.0.0.1', port: node.kubeletPort, path, agent: false },
      ...{ ca: ca.cert, cert: identity?.cert, key: identity?.key },
    };
    const sent = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('the node serves logs to the API server only', { timeout }, async () => {
  await node.create('talker', {
    containers: [node.container('for i in 1 2 3; do echo line $i; done; echo bad >&2')],
    restartPolicy: 'Never',
  });
  await node.until('talker', ({ status }) => status?.phase === 'Succeeded', 'done');
  const { apiServer, stranger } = node.certificates;
  const path = '/containerLogs/default/talker/main';
  assert.equal((await ask(path)).status, 401);
  assert.equal((await ask(path, stranger)).status, 403);
  assert.equal((await ask('/healthz')).text, 'ok');
  const all = await ask(path, apiServer);
  assert.equal(all.status, 200);
  assert.deepEqual(all.text.trim().split('\n').toSorted(), ['bad', 'line 1', 'line 2', 'line 3']);
  assert.equal(
    (await ask(`${path}?tailLines=2&stream=stdout`, apiServer)).text.includes('1'),
    false,
  );
  const followed = await ask(`${path}?follow=true&limitBytes=6`, apiServer);
  assert.equal(followed.text.length, 6);
  assert.equal((await ask(`${path}nope`, apiServer)).status, 404);
  await node.delete('talker');
});

/** Runs a command through the node's server with the WebSocket protocol that containerd speaks. */
function exec(path: string): Promise<{ readonly out: string; readonly status: unknown }> {
  const { ca, apiServer } = node.certificates;
  const url = `wss://127.0.0.1:${node.kubeletPort}${path}`;
  const socket = new WebSocket(url, 'v4.channel.k8s.io', { ...apiServer, ca: ca.cert });
  let out = '';
  let status: unknown;
  return new Promise((resolve, reject) => {
    socket.on('message', (data: Buffer) => {
      const text = data.subarray(1).toString();
      if (data[0] === 1) out += text;
      if (data[0] === 3) status = JSON.parse(text);
    });
    socket.on('close', () => resolve({ out, status }));
    socket.on('error', reject);
  });
}

test('commands run in a container through the node, with their exit code', {
  timeout,
}, async () => {
  await node.create('shell', { containers: [node.container(forever)] });
  await node.untilReady('shell');
  const command = ['sh', '-c', 'echo hello; exit 7'].map(
    (word) => `command=${encodeURIComponent(word)}`,
  );
  const { out, status } = await exec(
    `/exec/default/shell/main?output=1&error=1&${command.join('&')}`,
  );
  assert.equal(out, 'hello\n');
  assert.match(JSON.stringify(status), /"ExitCode","message":"7"/);
  await assert.rejects(exec('/exec/default/nobody/main?output=1&command=true'), /404/);
  await node.delete('shell');
});

test('a kubelet that comes back adopts what runs, and removes what is over', {
  timeout,
}, async () => {
  covers('POD-047', 'POD-196', 'POD-215');
  for (const name of ['kept', 'deleted', 'vanished']) {
    await node.create(name, { containers: [node.container(forever)] });
  }
  const kept = await node.untilReady('kept');
  const others = [await node.untilReady('deleted'), await node.untilReady('vanished')];
  await node.stopKubelet();
  const path = '/api/v1/namespaces/default/pods';
  assert.equal((await node.server.request('DELETE', `${path}/deleted`)).status, 200);
  const force = `${path}/vanished?gracePeriodSeconds=0`;
  assert.equal((await node.server.request('DELETE', force)).status, 200);
  for (const { metadata } of others) {
    const labelSelector = { 'io.kubernetes.pod.uid': metadata.uid ?? '' };
    const state = { state: 'CONTAINER_RUNNING' } as const;
    const running = await node.runtime.listContainers({ labelSelector, state }, { signal });
    assert.equal(running.length, 1, 'nobody stops containers while the kubelet is away');
  }
  node.startKubelet();
  const clock = systemClock();
  const uids = others.map(({ metadata }) => metadata.uid);
  const left = async () => {
    const sandboxes = await node.runtime.listPodSandboxes({}, { signal });
    return sandboxes.filter(({ labels }) => uids.includes(labels['io.kubernetes.pod.uid']));
  };
  while ((await left()).length > 0) await clock.sleep(50, { signal });
  assert.equal((await node.server.request('GET', `${path}/deleted`)).status, 404);
  assert.deepEqual(identity(await node.get('kept')), identity(kept));
  assert.equal(mainStatus(await node.get('kept')).ready, true);
});

test('containers outlive containerd', { timeout }, async () => {
  const kept = await node.untilReady('kept');
  const stop = new AbortController();
  const supervised = node.containerd.supervise({ signal: stop.signal }).catch(() => {});
  const pid = node.containerd.pid;
  process.kill(pid, 'SIGKILL');
  const clock = systemClock();
  while (node.containerd.pid === pid || node.containerd.pid === 0)
    await clock.sleep(20, { signal });
  await node.create('after', { containers: [node.container(forever)] });
  await node.untilReady('after');
  assert.deepEqual(identity(await node.get('kept')), identity(kept));
  stop.abort(new Error('the test is over'));
  await supervised;
  await node.delete('after');
  await node.delete('kept');
});
