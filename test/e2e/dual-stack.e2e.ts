/**
 * Pods with addresses of both families, on two nodes with a cable between them: they reach each
 * other, Services, ports of the nodes and names over IPv6, and nothing of it is left in the end.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import { AgentProcess } from '#test/agent-process.ts';
import { behind, ClusterProcess } from '#test/cluster-process.ts';
import { onlyBusybox } from '#test/few-images.ts';
import { ipBatch, LinkedPlaces, launcherOf, type Place } from '#test/places.ts';
import { stepsOf } from '#test/steps.ts';

const { signal } = new AbortController();
const program = fileURLToPath(new URL('../../bin/coracle.js', import.meta.url));

function run(place: Place, command: string, ...args: readonly string[]): Promise<CommandResult> {
  const all = behind(launcherOf(place), command, args);
  return runCommand(...all, { signal, timeoutMs: 60_000 });
}

/** Says its name to whoever asks, and shows what it knows of itself. */
const pod = (name: string, nodeName: string, more = ''): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: who, name: ${name} } }
spec:
  nodeName: ${nodeName}
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: localhost/busybox:1.35
    command:
    - sh
    - -c
    - |
      mkdir /tmp/w; hostname > /tmp/w/index.html
      httpd -f -vv -p 8080 -h /tmp/w &
      trap exit TERM; while true; do sleep 0.2; done
    env:
    - { name: POD_IPS, valueFrom: { fieldRef: { fieldPath: status.podIPs } } }
    - { name: HOST_IPS, valueFrom: { fieldRef: { fieldPath: status.hostIPs } } }
    ports: [{ containerPort: 8080${more} }]
    readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 }
---`;

const services = `
apiVersion: v1
kind: Service
metadata: { name: who }
spec:
  type: NodePort
  ipFamilyPolicy: RequireDualStack
  selector: { app: who }
  ports: [{ port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: sixth }
spec:
  ipFamilies: [IPv6]
  sessionAffinity: ClientIP
  selector: { name: on-agent }
  ports: [{ port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: each }
spec:
  clusterIP: None
  ipFamilyPolicy: PreferDualStack
  selector: { app: who }
  ports: [{ port: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: nobody }
spec: { ipFamilies: [IPv6], ports: [{ port: 80 }] }
`;

test('pods of two nodes have both families', { timeout: 480_000 }, async (t) => {
  await using places = await LinkedPlaces.open();
  const machines = [
    { place: places.one, first: places.addresses[0], second: 'fd00:79::1' },
    { place: places.two, first: places.addresses[1], second: 'fd00:79::2' },
  ] as const;
  for (const { place, second } of machines) {
    await ipBatch(place, [`addr add ${second}/64 dev up0 nodad`]);
  }
  const [server, other] = machines;
  // From the node itself a Service is reached where there is any way at all to its address.
  await ipBatch(server.place, [`route add default via ${other.second}`]);
  using imagesFolder = onlyBusybox();
  const images = imagesFolder.path;
  const ranges = ['--cluster-cidr', '10.42.0.0/16,fd42::/48'];
  await using cluster = await ClusterProcess.open({
    launcher: launcherOf(server.place),
    flags: [
      ...['--node-name', 'server', '--node-ip', server.first, '--no-kubeconfig', ...ranges],
      ...['--service-cidr', '10.43.0.0/16,fd43::/112'],
    ],
    imagesFolder: images,
  });
  const api = `https://${server.first}:${cluster.apiPort}`;
  await using agent = new AgentProcess({
    launcher: launcherOf(other.place),
    flags: ['--server', api, '--node-name', 'agent', '--node-ip', other.first, '--images', images],
  });
  const step = stepsOf(t, async () => {
    const state = await cluster.tryKubectl('get', 'nodes,pods,svc,endpointslices', '-A');
    return `${state.stdout}\n${cluster.logs()}\n--- agent\n${agent.logs()}`;
  });
  const ask = async (from: string, url: string): Promise<string> => {
    const wget = ['timeout', '20', 'wget', '-qO-', url];
    const { code, stdout, stderr } = await cluster.tryKubectl('exec', from, '--', ...wget);
    return code === 0 ? stdout.trim() : `${stderr}${stdout}`.trim();
  };
  const curl = async (place: Place, url: string): Promise<string> => {
    const { stdout, stderr } = await run(place, 'curl', '-gsS', '-m20', url);
    return `${stdout}${stderr}`.trim();
  };
  const read = async (what: string, path: string): Promise<string> =>
    cluster.kubectl('get', ...what.split(' '), '-o', `jsonpath={${path}}`);
  const addressesOf = async (name: string): Promise<readonly [string, string]> => {
    const [first = '', second = ''] = (await read(`pod ${name}`, '.status.podIPs[*].ip')).split(
      ' ',
    );
    return [first, second];
  };
  const both = async (body: (from: string, to: string) => Promise<void>): Promise<void> => {
    await body('on-server', 'on-agent');
    await body('on-agent', 'on-server');
  };
  /** Rules and names of a node follow the objects a moment later, each Service for itself. */
  const eventually = async (check: () => Promise<void>): Promise<void> => {
    let failure: unknown;
    const holds = (): Promise<boolean> =>
      check().then(
        () => true,
        (error: unknown) => {
          failure = error;
          return false;
        },
      );
    await cluster.until(holds, { what: () => String(failure), limitMs: 60_000 });
  };
  const reachEachOther = (): Promise<void> =>
    both(async (from, to) => {
      for (const address of await addressesOf(to)) {
        const host = address.includes(':') ? `[${address}]` : address;
        assert.equal(await ask(from, `http://${host}:8080`), to, `from ${from} to ${address}`);
      }
    });

  await step('nodes have a block and an address of each family, pods an address', async () => {
    await cluster.up();
    const token = ['token', '--data-dir', cluster.dataDir];
    const { stdout } = await run(server.place, process.execPath, program, ...token);
    await agent.start('--token', stdout.trim());
    assert.equal(await read('node server', '.spec.podCIDRs'), '["10.42.0.0/24","fd42::/64"]');
    assert.equal(await read('node agent', '.spec.podCIDRs'), '["10.42.1.0/24","fd42:0:0:1::/64"]');
    const internal = '.status.addresses[?(@.type=="InternalIP")].address';
    assert.equal(await read('node agent', internal), `${other.first} ${other.second}`);
    const hostPort = pod('on-agent', 'agent', ', hostPort: 8090');
    const input = `${pod('on-server', 'server')}${hostPort}${services}`;
    const applied = await cluster.kubectlWith({ input }, 'apply', '-f', '-');
    assert.equal(applied.code, 0, applied.stderr);
    await cluster.kubectl('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s');
    const [first, second] = await addressesOf('on-agent');
    assert.match(first, /^10\.42\.1\.\d+$/);
    assert.match(second, /^fd42:0:0:1::[0-9a-f]+$/);
    assert.equal(await read('pod on-agent', '.status.podIP'), first);
    const hosts = `[{"ip":"${other.first}"},{"ip":"${other.second}"}]`;
    assert.equal(await read('pod on-agent', '.status.hostIPs'), hosts);
    const inside = await cluster.kubectl(
      ...['exec', 'on-agent', '--', 'sh', '-c'],
      'echo $POD_IPS $HOST_IPS; cat /etc/hosts; ip -6 addr show lo',
    );
    assert.ok(inside.startsWith(`${first},${second} ${other.first},${other.second}\n`), inside);
    for (const address of [first, second]) assert.ok(inside.includes(`${address}\ton-agent\n`));
    assert.match(inside, /inet6 ::1\/128/);
  });
  await step('pods of both nodes reach each other, and keep their address', async () => {
    await reachEachOther();
    await both(async (from, to) => {
      const [, own] = await addressesOf(from);
      // The log may be a moment late.
      await cluster.until(async () => (await cluster.kubectl('logs', to)).includes(own), {
        what: `${to} sees the address of ${from}`,
        limitMs: 60_000,
      });
    });
    const [, second] = await addressesOf('on-server');
    for (const { place } of machines) {
      assert.equal(await curl(place, `http://[${second}]:8080`), 'on-server');
    }
  });
  await step('a Service is reached by its second address, name and node port', async () => {
    const clusterIPs = await read('service who', '.spec.clusterIPs[*]');
    const [, second = ''] = clusterIPs.split(' ');
    assert.match(second, /^fd43::/);
    const seen = new Set<string>();
    await cluster.until(
      async () => seen.add(await ask('on-server', `http://[${second}]`)).size === 2,
      { what: () => `both answer: ${[...seen].join(', ')}`, limitMs: 60_000 },
    );
    assert.deepEqual([...seen].sort(), ['on-agent', 'on-server']);
    for (const from of ['on-server', 'on-agent']) {
      await eventually(async () => {
        assert.equal(await ask(from, 'http://sixth'), 'on-agent', 'by a name with AAAA alone');
      });
    }
    const nodePort = await read('service who', '.spec.ports[0].nodePort');
    for (const { place } of machines) {
      for (const { first, second: address } of machines) {
        assert.match(await curl(place, `http://[${address}]:${nodePort}`), /^on-/);
        assert.match(await curl(place, `http://${first}:${nodePort}`), /^on-/);
      }
    }
    const [sixth = ''] = (await read('service sixth', '.spec.clusterIPs[*]')).split(' ');
    assert.equal(await curl(server.place, `http://[${sixth}]`), 'on-agent', 'from the node');
    const nobody = await read('service nobody', '.spec.clusterIP');
    await eventually(async () => {
      assert.match(await ask('on-server', `http://[${nobody}]`), /refused/i);
    });
    const asked = ['exec', 'on-server', '--', 'nslookup', '-type=aaaa'];
    await eventually(async () => {
      const answer = await cluster.kubectl(...asked, 'each.default.svc.cluster.local');
      for (const name of ['on-server', 'on-agent']) {
        const [, address] = await addressesOf(name);
        assert.ok(answer.includes(address), `${address} in ${answer}`);
      }
    });
  });
  await step('a port of the node leads to its pod, over either family', async () => {
    for (const { place } of machines) {
      assert.equal(await curl(place, `http://[${other.second}]:8090`), 'on-agent');
      assert.equal(await curl(place, `http://${other.first}:8090`), 'on-agent');
    }
    const itself = await ask('on-agent', `http://[${other.second}]:8090`);
    assert.equal(itself, 'on-agent', 'the pod itself, by way of the node');
  });
  await step('a pod cannot send from an address that is not its own', async () => {
    const input = pod('liar', 'server').replace(
      '    ports:',
      '    securityContext: { privileged: true }\n    ports:',
    );
    assert.equal((await cluster.kubectlWith({ input }, 'apply', '-f', '-')).code, 0);
    await cluster.kubectl('wait', '--for=condition=Ready', 'pod/liar', '--timeout=60s');
    const [, target] = await addressesOf('on-server');
    const script = `ip -6 addr add fd42::dead/128 dev lo && sleep 1 && ping -6 -c1 -W1 -I fd42::dead ${target}`;
    const lie = await cluster.tryKubectl('exec', 'liar', '--', 'sh', '-c', script);
    assert.match(lie.stdout, /100% packet loss/, lie.stderr);
    const truth = await cluster.tryKubectl('exec', 'liar', '--', 'ping', '-6', '-c1', target);
    assert.equal(truth.code, 0, truth.stderr);
    await cluster.kubectl('delete', 'pod', 'liar');
  });
  await step(
    'the agent is killed and started: all as before; it stops: nothing is left',
    async () => {
      const before = await addressesOf('on-agent');
      await agent.kill();
      assert.equal(await ask('on-server', `http://[${before[1]}]:8080`), 'on-agent');
      await agent.start();
      assert.deepEqual(await addressesOf('on-agent'), before);
      await reachEachOther();
      assert.equal(await curl(server.place, `http://[${other.second}]:8090`), 'on-agent');
      await agent.stop();
      assert.equal((await run(other.place, 'nft', 'list', 'tables')).stdout, '');
      assert.doesNotMatch((await run(other.place, 'ip', '-6', 'route')).stdout, /fd42/);
    },
  );
});
