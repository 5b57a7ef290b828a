/**
 * Two real nodes: `coracle up` on one machine, `coracle agent` on another, with a cable between
 * them and no way out. Pods reach each other across it, and go on doing so while either side is
 * away; certificates are exchanged while all runs.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import { issueCertificate } from '#kit/x509.ts';
import { AgentProcess } from '#test/agent-process.ts';
import { behind, ClusterProcess, until } from '#test/cluster-process.ts';
import { covers } from '#test/covers.ts';
import { onlyBusybox } from '#test/few-images.ts';
import { LinkedPlaces, launcherOf, type Place } from '#test/places.ts';
import { stepsOf } from '#test/steps.ts';

const { signal } = new AbortController();
const program = fileURLToPath(new URL('../../bin/coracle.js', import.meta.url));

function run(place: Place, command: string, ...args: readonly string[]): Promise<CommandResult> {
  const all = behind(launcherOf(place), command, args);
  return runCommand(...all, { signal, timeoutMs: 60_000 });
}

/** A pod that says its name to whoever asks. */
const pod = (name: string, nodeName: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: who } }
spec:
  nodeName: ${nodeName}
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: localhost/busybox:1.35
    command:
    - sh
    - -c
    - |
      echo serving; mkdir /tmp/w; hostname > /tmp/w/index.html
      httpd -f -vv -p 8080 -h /tmp/w &
      trap exit TERM; while true; do sleep 1; done
    readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 }
---`;

const service = `
apiVersion: v1
kind: Service
metadata: { name: who }
spec:
  type: NodePort
  selector: { app: who }
  ports: [{ port: 80, targetPort: 8080 }]
`;

/** A template whose pods say so, or their name, to whoever asks. */
const template = (app: string, says: string, more = ''): string => `
  template:
    metadata: { labels: { app: ${app}, says: ${says} } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: localhost/busybox:1.35
        command:
        - sh
        - -c
        - mkdir /tmp/w; cd /tmp/w; echo $0 > index.html; hostname > name; exec httpd -f -p 8080 -h .
        - ${says}
        ports: [{ containerPort: 8080${more} }]
        readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 }
---`;

/** One on each node, found by a port of the node, by name, or any of them by a Service. */
const everywhere = `
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: all }
spec:
  selector: { matchLabels: { app: all } }${template('all', 'here', ', hostPort: 8081')}
apiVersion: v1
kind: Service
metadata: { name: each }
spec: { clusterIP: None, selector: { app: all }, ports: [{ port: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: any }
spec: { selector: { app: all }, ports: [{ port: 80, targetPort: 8080 }] }
`;

const track = (name: string, replicas: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: tracks, says: ${name} } }${template('tracks', name)}`;

const tracks = `${track('stable', 9)}${track('canary', 1)}
apiVersion: v1
kind: Service
metadata: { name: tracks }
spec: { selector: { app: tracks }, ports: [{ port: 80, targetPort: 8080 }] }
`;

test('two nodes are one cluster', { timeout: 480_000 }, async (t) => {
  await using places = await LinkedPlaces.open();
  const [serverIP, agentIP] = places.addresses;
  const launcher = launcherOf(places.one);
  const flags = ['--node-name', 'server', '--node-ip', serverIP, '--no-kubeconfig'];
  using imagesFolder = onlyBusybox();
  const images = imagesFolder.path;
  await using cluster = await ClusterProcess.open({ launcher, flags, imagesFolder: images });
  const server = ['--server', `https://${serverIP}:${cluster.apiPort}`];
  await using agent = new AgentProcess({
    launcher: launcherOf(places.two),
    flags: [...server, '--node-name', 'agent', '--node-ip', agentIP, '--images', images],
  });
  const machines = [
    [places.one, serverIP],
    [places.two, agentIP],
  ] as const;
  const step = stepsOf(t, async () => {
    const state = await cluster.tryKubectl('get', 'nodes,pods,endpointslices,events', '-A');
    return `${state.stdout}\n${cluster.logs()}\n--- agent\n${agent.logs()}`;
  });
  const ask = async (from: string, url: string): Promise<string> => {
    const wget = ['timeout', '20', 'wget', '-qO-', url];
    const { code, stdout, stderr } = await cluster.tryKubectl('exec', from, '--', ...wget);
    return code === 0 ? stdout.trim() : `${stderr}${stdout}`.trim();
  };
  const addressOf = (name: string): Promise<string> =>
    cluster.kubectl('get', 'pod', name, '-o', 'jsonpath={.status.podIP}');
  const both = async (body: (from: string, to: string) => Promise<void>): Promise<void> => {
    await body('on-server', 'on-agent');
    await body('on-agent', 'on-server');
  };
  /** Whom it sees is in its log, which may be a moment late. */
  const sees = (name: string, address: string): Promise<void> =>
    until(async () => (await cluster.kubectl('logs', name)).includes(`${address}]`), {
      what: `${name} sees ${address}`,
      limitMs: 60_000,
    });
  const acrossDirectly = (): Promise<void> =>
    both(async (from, to) => {
      assert.equal(await ask(from, `http://${await addressOf(to)}:8080`), to, `from ${from}`);
    });
  const allReady = (): Promise<string> =>
    cluster.kubectl('wait', '--for=condition=Ready', 'node,pod', '--all', '--timeout=60s');

  let startMs = 0;
  await step('the agent joins with the token and is Ready', async () => {
    await cluster.up();
    const token = await run(
      places.one,
      process.execPath,
      program,
      'token',
      '--data-dir',
      cluster.dataDir,
    );
    assert.match(token.stdout, /^K10[0-9a-f]{64}::[a-z0-9]{6}\.[a-z0-9]{16}\n$/);
    const beforeMs = systemClock().monotonic();
    await agent.start('--token', token.stdout.trim());
    startMs = systemClock().monotonic() - beforeMs;
    const nodes = await cluster.kubectl('get', 'nodes', '-o', 'wide');
    assert.match(nodes, new RegExp(`^agent +Ready .* ${agentIP} `, 'm'));
    assert.match(nodes, new RegExp(`^server +Ready .* ${serverIP} `, 'm'));
    covers('BOO-034');
  });
  await step('pods of both nodes reach each other', async () => {
    const input = `${pod('on-server', 'server')}${pod('on-agent', 'agent')}${service}`;
    const applied = await cluster.kubectlWith({ input }, 'apply', '-f', '-');
    assert.equal(applied.code, 0, applied.stderr);
    await allReady();
    await acrossDirectly();
    await both(async (from, to) => {
      const [address, own] = [await addressOf(to), await addressOf(from)];
      await sees(to, own);
      const inside = await cluster.kubectl('exec', from, '--', 'hostname', '-i');
      assert.equal(inside.trim(), own, 'a pod sees the address that others see');
      for (const [place, node] of machines) {
        assert.equal((await run(place, 'curl', '-sS', `http://${address}:8080`)).stdout, `${to}\n`);
        await sees(to, node);
      }
    });
    const ranges = ['get', 'nodes', '-o', 'jsonpath={.items[*].spec.podCIDR}'];
    assert.equal(new Set((await cluster.kubectl(...ranges)).split(' ')).size, 2);
    covers('NET-001', 'NET-016', 'NET-024', 'NET-029', 'NET-050', 'NET-070', 'NET-072');
  });
  await step('a Service has endpoints on both, by address, name and node port', async () => {
    await both(async (from) => {
      const seen = new Set<string>();
      await until(
        async () => seen.add(await ask(from, 'http://who.default.svc.cluster.local')).size === 2,
        { what: () => `both answer ${from}: ${[...seen].join(', ')}`, limitMs: 60_000 },
      );
      assert.deepEqual([...seen].sort(), ['on-agent', 'on-server']);
    });
    const read = ['get', 'service', 'who', '-o', 'jsonpath={.spec.ports[0].nodePort}'];
    const nodePort = Number(await cluster.kubectl(...read));
    assert.ok(nodePort >= 30_000 && nodePort <= 32_767, String(nodePort));
    for (const place of [places.one, places.two]) {
      for (const address of places.addresses) {
        const url = `http://${address}:${nodePort}`;
        const { stdout } = await run(place, 'curl', '-sS', '--max-time', '20', url);
        assert.match(stdout, /^on-(agent|server)$/m, url);
      }
    }
    covers('SVC-005', 'SVC-035');
  });
  await step('a DaemonSet is found on each node, by its port, its name and a Service', async () => {
    const applied = await cluster.kubectlWith({ input: everywhere }, 'apply', '-f', '-');
    assert.equal(applied.code, 0, applied.stderr);
    await cluster.kubectl('rollout', 'status', 'daemonset/all', '--timeout=60s');
    for (const address of places.addresses) {
      const { stdout } = await run(places.one, 'curl', '-sS', '-m20', `http://${address}:8081`);
      assert.equal(stdout, 'here\n', address);
    }
    const eachOf = async (field: string): Promise<string> => {
      const read = ['get', 'pods', '-l', 'app=all', '-o', `jsonpath={.items[*].${field}}`];
      return (await cluster.kubectl(...read)).split(' ').toSorted().join(' ');
    };
    const addresses = await eachOf('status.podIP');
    assert.equal(addresses.split(' ').length, 2);
    const name = 'each.default.svc.cluster.local';
    const found = async (): Promise<string> => {
      const { stdout } = await cluster.tryKubectl('exec', 'on-server', '--', 'nslookup', name);
      const all = [...stdout.matchAll(/^Address.*?: ?(10\.42\.\S+)$/gm)].map(([, one]) => one);
      return all.toSorted().join(' ');
    };
    await until(async () => (await found()) === addresses, {
      what: `the name stands for ${addresses}`,
      limitMs: 60_000,
    });
    const names = await eachOf('metadata.name');
    const asked = new Set<string>();
    const isEach = async (): Promise<boolean> => {
      const answer = await ask('on-server', 'http://any/name');
      if (names.split(' ').includes(answer)) asked.add(answer);
      return [...asked].toSorted().join(' ') === names;
    };
    const what = () => `the Service leads to each of ${names}: ${[...asked].join(' ')}`;
    await until(isEach, { what, limitMs: 60_000 });
    await cluster.kubectl('delete', 'daemonset/all', 'service/each', 'service/any');
    covers('WRK-079');
  });
  await step('a Service in front of two releases shares out by their pods', async () => {
    const applied = await cluster.kubectlWith({ input: tracks }, 'apply', '-f', '-');
    assert.equal(applied.code, 0, applied.stderr);
    /** Up to the first question that nobody answers. */
    const answers = async (path: string, count: number): Promise<readonly string[]> => {
      const wget = `timeout 20 wget -qO- http://tracks.default.svc.cluster.local${path} || break`;
      const loop = `for i in $(seq ${count}); do ${wget}; done`;
      const { stdout } = await cluster.tryKubectl('exec', 'on-server', '--', 'sh', '-c', loop);
      return stdout.trim().split('\n');
    };
    const shareOf = async (stable: number): Promise<number> => {
      await cluster.kubectl('scale', 'deployment/stable', `--replicas=${stable}`);
      for (const name of ['stable', 'canary']) {
        await cluster.kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s');
      }
      const read = ['get', 'pods', '-l', 'app=tracks', '-o', 'jsonpath={.items[*].metadata.name}'];
      // The rules of a node follow a moment after its pods.
      await until(
        async () => {
          const all = await answers('/name', 60);
          const there = new Set((await cluster.kubectl(...read)).split(' '));
          const others = new Set(all).symmetricDifference(there);
          return all.length === 60 && there.size === stable + 1 && others.size === 0;
        },
        { what: 'all of them are behind the Service, and no others', limitMs: 60_000 },
      );
      const lines = await answers('/', 200);
      assert.equal(lines.length, 200);
      return lines.filter((line) => line === 'canary').length / 200;
    };
    // One pod of ten, and one of four: by chance, so within five standard deviations.
    const tenth = await shareOf(9);
    assert.ok(tenth > 0 && tenth < 0.206, String(tenth));
    const quarter = await shareOf(3);
    assert.ok(quarter > 0.097 && quarter < 0.403, String(quarter));
    await cluster.kubectl('delete', 'deployment/stable', 'deployment/canary', 'service/tracks');
    await until(async () => (await cluster.kubectl('get', 'pods', '-l', 'app=tracks')) === '', {
      what: 'their pods are gone',
      limitMs: 60_000,
    });
    covers('WRK-041', 'SVC-042');
  });
  await step('logs and exec on the agent', async () => {
    const isServing = async (): Promise<boolean> =>
      /^serving\n/.test(await cluster.kubectl('logs', 'on-agent'));
    await until(isServing, { what: 'it says so', limitMs: 60_000 });
    const input = 'through standard input\n';
    const echoed = await cluster.kubectlWith({ input }, 'exec', '-i', 'on-agent', '--', 'cat');
    assert.equal(echoed.stdout, input);
    assert.equal(
      (await cluster.tryKubectl('exec', 'on-agent', '--', 'sh', '-c', 'exit 5')).code,
      5,
    );
  });
  const containers = async (): Promise<string> =>
    cluster.kubectl(
      'get',
      'pods',
      '-o',
      'jsonpath={.items[*].status.containerStatuses[*].containerID}',
    );
  await step('the agent is killed: its pods go on, and it needs no token again', async () => {
    const before = await containers();
    await agent.kill();
    assert.equal(await ask('on-server', `http://${await addressOf('on-agent')}:8080`), 'on-agent');
    // As if most of its year was over: it asks for another at once, and goes on with that.
    const path = join(agent.dataDir, 'agent/tls/client.crt');
    // Long enough to start with, however slow this machine is.
    const ending = shorten(cluster.dataDir, agent.dataDir, { lifeMs: 4000 + 3 * startMs });
    await agent.start();
    await until(() => readFileSync(path, 'utf8') !== ending.cert, {
      what: 'the certificate has been renewed',
      limitMs: 60_000,
    });
    await until(() => systemClock().now() > ending.endMs + 1000, {
      what: 'the old certificate is over',
      limitMs: 10_000 + 3 * startMs,
    });
    assert.equal(await containers(), before);
    const input = pod('after', 'agent');
    assert.equal((await cluster.kubectlWith({ input }, 'apply', '-f', '-')).code, 0);
    await allReady();
    assert.equal(await ask('on-server', `http://${await addressOf('after')}:8080`), 'after');
    await cluster.kubectl('delete', 'pod', 'after');
  });
  await step('the server is away for a while: pods go on, names are answered', async () => {
    const before = await containers();
    const [address, pid] = [await addressOf('on-server'), webServerOf(agent.dataDir)];
    await cluster.kill({ containerd: false });
    const inPod = (...command: readonly string[]): Promise<CommandResult> =>
      run(
        places.two,
        'nsenter',
        '--net',
        '--mount',
        `--target=${pid}`,
        'timeout',
        '20',
        ...command,
      );
    const direct = await inPod('wget', '-qO-', `http://${address}:8080`);
    assert.equal(direct.stdout, 'on-server\n', direct.stderr);
    const named = await inPod('wget', '-qO-', 'http://who.default.svc.cluster.local');
    assert.match(named.stdout, /^on-(agent|server)$/m, named.stderr);
    await cluster.up();
    await allReady();
    assert.equal(await containers(), before);
    await acrossDirectly();
  });
  await step('the agent stops and starts: the same objects, the pods anew', async () => {
    const before = await containers();
    await agent.stop();
    assert.deepEqual(await agent.processes(), []);
    assert.equal((await run(places.two, 'nft', 'list', 'tables')).stdout, '');
    assert.doesNotMatch((await run(places.two, 'ip', 'route')).stdout, /10\.42\./);
    await agent.start();
    // What the API says is of before until the agent has looked.
    await until(async () => (await containers()) !== before, {
      what: "the agent's pod runs anew",
      limitMs: 60_000,
    });
    await allReady();
    await acrossDirectly();
  });
  await step('the agent goes, and its node with it', async () => {
    await agent.stop();
    await cluster.kubectl('delete', 'node', 'agent');
    const nodes = await cluster.kubectl('get', 'nodes', '-o', 'name');
    assert.equal(nodes, 'node/server\n');
    covers('POD-242');
  });
});

/** Puts a certificate in place that is nearly over; both of its ends. */
function shorten(
  serverDir: string,
  agentDir: string,
  { lifeMs }: { readonly lifeMs: number },
): { readonly cert: string; readonly endMs: number } {
  const read = (name: string): string => readFileSync(join(serverDir, 'server/tls', name), 'utf8');
  const [nowMs, random] = [systemClock().now(), systemRandom()];
  const endMs = nowMs + lifeMs;
  const pair = issueCertificate(
    { random },
    {
      commonName: 'system:node:agent',
      organizations: ['system:nodes'],
      role: 'client',
      notBeforeMs: nowMs - 3_600_000,
      notAfterMs: endMs,
      issuer: { cert: read('ca.crt'), key: read('ca.key') },
    },
  );
  const folder = join(agentDir, 'agent/tls');
  writeFileSync(join(folder, 'client.key'), pair.key);
  writeFileSync(join(folder, 'client.crt'), pair.cert);
  return { cert: pair.cert, endMs };
}

/** The process of a pod on the node of this data dir. */
function webServerOf(dataDir: string): string {
  // Our own file, written as a whole.
  const { id } = JSON.parse(readFileSync(join(dataDir, 'cluster.json'), 'utf8')) as { id: string };
  const read = (pid: string, file: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8');
    } catch {
      return '';
    }
  };
  const found = readdirSync('/proc').find(
    (pid) =>
      /^\d+$/.test(pid) &&
      read(pid, 'cmdline').startsWith('httpd\0') &&
      read(pid, 'cgroup').includes(`/coracle-${id}/`),
  );
  assert.ok(found !== undefined, 'there is a web server on the node');
  return found;
}
