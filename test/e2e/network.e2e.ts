/**
 * Pod network, service proxy and cluster DNS on a real kernel: namespaces as pods, real nftables,
 * real packets. Servers (`network-peer.ts`) say who they are and whom they see.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { cniPaths } from '#network';
import { endpointSlices, namespaces, services } from '#resources/kinds.ts';
import type { Service, ServiceSpec } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { written } from '#test/descriptor.ts';
import { NetworkNode, outsideAddress, type Place, type TestPod } from '#test/network-node.ts';
import type { CallOutcome } from '#test/network-peer.ts';

const timeout = 480_000;

function service(name: string, spec: ServiceSpec): Service {
  const metadata = { namespace: 'default', name };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec };
}

function slice(
  name: string,
  pods: readonly TestPod[],
  ports: EndpointSlice['ports'],
  conditions: { readonly ready: boolean } = { ready: true },
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      ...{ namespace: 'default', name },
      labels: { 'kubernetes.io/service-name': name },
    },
    addressType: 'IPv4',
    endpoints: pods.map(({ address }) => ({
      ...{ addresses: [address], nodeName: 'node-1', conditions },
    })),
    ports,
  };
}

/** `192.168.77.2:30080` */
function split(to: string): readonly [string, number] {
  const [host = '', port = ''] = to.split(':');
  return [host, Number(port)];
}

async function outcomes(network: NetworkNode, from: Place, to: string, count: number) {
  // Printed by network-peer.ts.
  return (await network.peer(from, 'call', ...split(to), count)) as readonly CallOutcome[];
}

/** Who answers and whom it sees, or how it failed. */
async function call(network: NetworkNode, from: Place, to: string): Promise<CallOutcome> {
  return (await outcomes(network, from, to, 1))[0] ?? 'silent';
}

/** Everybody who answers. */
async function servers(network: NetworkNode, from: Place, to: string, count = 24) {
  const all = await outcomes(network, from, to, count);
  return [...new Set(all.map((each) => (typeof each === 'string' ? each : each.server)))].sort();
}

async function answers(network: NetworkNode, from: Place, to: string): Promise<boolean> {
  return typeof (await call(network, from, to)) !== 'string';
}

async function clientSeen(network: NetworkNode, from: Place, to: string): Promise<string> {
  const outcome = await call(network, from, to);
  return typeof outcome === 'string' ? outcome : outcome.client;
}

const tcp = [{ name: '', port: 8080, protocol: 'TCP' }];

test('pods have addresses of their own and reach each other', { timeout }, async () => {
  await using network = await NetworkNode.open();
  await network.startAgent();
  const one = await network.addPod('one');
  const two = await network.addPod('two');
  await network.startServer(one);

  assert.deepEqual(await call(network, two, `${one.address}:8080`), {
    ...{ server: one.address, client: two.address },
  });
  const { nodeIP } = network.settings;
  assert.deepEqual(await call(network, network.node, `${one.address}:8080`), {
    ...{ server: one.address, client: nodeIP },
  });
  await network.startServer(network.node);
  const toNode = await clientSeen(network, one, `${nodeIP}:8080`);
  assert.equal(toNode, one.address, 'nor is an address changed on the way to the node');
  const said = async (place: Place, command: string, ...args: readonly string[]) =>
    (await network.run(place, command, args)).stdout;
  assert.equal(await said(network.node, 'cat', '/proc/sys/net/ipv4/ip_forward'), '1\n');
  // With whomever a pod speaks, its neighbour is the node.
  const way = await said(network.node, 'ip', '-o', 'route', 'show', one.address);
  const [, name = ''] = /dev (\S+)/.exec(way) ?? [];
  const link = await said(network.node, 'ip', '-o', 'link', 'show', name);
  const mac = /link\/ether (\S+)/.exec(link)?.[1] ?? 'none';
  const neighbours = (await said(one, 'ip', '-o', 'neighbour')).trim().split('\n');
  for (const each of neighbours) assert.ok(each.includes(` lladdr ${mac} `), `${mac}: ${each}`);
  await network.startServer(network.outside);
  const leaving = await clientSeen(network, one, `${outsideAddress}:8080`);
  assert.equal(leaving, nodeIP, 'outside sees the node, not the pod');
  assert.deepEqual(await network.brief(one, 'call', '10.42.0.200', 8080, 1), ['silent']);
  // Two pods on one node, both on port 8080.
  await network.startServer(two);
  assert.deepEqual(await servers(network, one, `${two.address}:8080`, 1), [two.address]);
  covers('NET-018', 'NET-033', 'NET-039', 'NET-059', 'NET-071', 'NET-086', 'NET-093');
});

test('a node without a way out of its network has a pod network', { timeout }, async () => {
  await using network = await NetworkNode.open();
  await network.ip(network.node, ['route del default']);
  await network.startAgent();
  const one = await network.addPod('one');
  const two = await network.addPod('two');
  await network.startServer(one);
  assert.equal(await answers(network, two, `${one.address}:8080`), true);
  await network.startServer(network.outside);
  assert.equal(await answers(network, two, `${outsideAddress}:8080`), true);
});

test('ports of the node lead to the pod that asked for them', { timeout }, async () => {
  await using network = await NetworkNode.open();
  await network.startAgent();
  const { nodeIP } = network.settings;
  const port = { hostPort: 8090, containerPort: 8080, protocol: 'TCP' };
  const everywhere = await network.addPod('one', [port]);
  const local = await network.addPod('two', [{ ...port, hostPort: 8091, hostIP: '127.0.0.1' }]);
  const other = await network.addPod('three', [{ ...port, hostPort: 8091, hostIP: nodeIP }]);
  for (const pod of [everywhere, local, other]) await network.startServer(pod);

  const expectAll = async (): Promise<void> => {
    const { node, outside } = network;
    assert.deepEqual(await servers(network, outside, `${nodeIP}:8090`, 2), [everywhere.address]);
    assert.deepEqual(await servers(network, node, `${nodeIP}:8090`, 2), [everywhere.address]);
    assert.deepEqual(await servers(network, node, '127.0.0.1:8090', 2), [everywhere.address]);
    assert.deepEqual(await servers(network, local, `${nodeIP}:8090`, 2), [everywhere.address]);
    // A pod that calls itself by way of the node.
    const itself = await servers(network, everywhere, `${nodeIP}:8090`, 2);
    assert.deepEqual(itself, [everywhere.address]);
    // The same port of two addresses.
    assert.deepEqual(await servers(network, node, '127.0.0.1:8091', 2), [local.address]);
    assert.deepEqual(await servers(network, outside, `${nodeIP}:8091`, 2), [other.address]);
  };
  await expectAll();
  assert.equal(
    await clientSeen(network, network.outside, `${nodeIP}:8090`),
    outsideAddress,
    'the pod sees who asks',
  );
  await network.killAgent();
  await network.startAgent();
  await expectAll();

  const { containerId, path: namespacePath } = everywhere;
  assert.equal((await network.callPlugin('DEL', { containerId, namespacePath })).code, 0);
  assert.equal(await answers(network, network.node, `${nodeIP}:8090`), false);
  assert.deepEqual(await servers(network, network.node, '127.0.0.1:8091', 2), [local.address]);
  covers('NET-037');
});

test('calls of the runtime may come twice, at once and too late', { timeout }, async () => {
  await using network = await NetworkNode.open();
  await network.startAgent();
  const pod = await network.addPod('one');
  const { containerId, path: namespacePath } = pod;
  const check = () => network.callPlugin('CHECK', { containerId, namespacePath });
  assert.equal((await check()).code, 0);
  assert.match((await network.callPlugin('VERSION', pod0)).stdout, /"1\.0\.0"/);

  const absent = await network.callPlugin('ADD', pod0);
  assert.equal(absent.code, 1);
  assert.match(absent.stdout, /"code":100,.*no network namespace/);

  const wayTo = async (address: string): Promise<string> =>
    (await network.run(network.node, 'ip', ['-o', 'route', 'show', address])).stdout;
  const linkOf = async (address: string): Promise<string> =>
    /dev (\S+)/.exec(await wayTo(address))?.[1] ?? '';
  const hasLink = async (name: string): Promise<boolean> =>
    (await network.run(network.node, 'ip', ['link', 'show', name])).code === 0;
  const own = await linkOf(pod.address);
  assert.ok(await hasLink(own), own);
  const deletions = [1, 2, 3].map(() => network.callPlugin('DEL', { containerId, namespacePath }));
  assert.deepEqual(
    (await Promise.all(deletions)).map(({ code }) => code),
    [0, 0, 0],
  );
  assert.equal((await check()).code, 1);
  assert.deepEqual([await wayTo(pod.address), await hasLink(own)], ['', false]);
  const again = await network.addPod('two');
  assert.notEqual(again.address, pod.address, "a dead pod's address rests for a while");

  await network.killAgent();
  const refused = await network.callPlugin('DEL', { containerId: 'two', namespacePath });
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /"code":11/);
  await network.startAgent();
  const third = await network.addPod('three');
  assert.notEqual(third.address, again.address, 'addresses in use survive a restart');

  await network.killAgent();
  await network.ip(network.node, [`link del ${await linkOf(again.address)}`]);
  await network.startAgent();
  const lost = await network.callPlugin('CHECK', callOf(again));
  assert.match(lost.stdout, /no address/, 'an address without a link is free again');
  assert.equal((await network.callPlugin('CHECK', callOf(third))).code, 0);
  // How addresses are given out, and again, is in src/network/address-pool.disk.test.ts.
  covers('NET-064', 'NET-073');
});

test('leaving takes everything off the node', { timeout }, async () => {
  await using network = await NetworkNode.open();
  const said = async (command: string, ...args: readonly string[]): Promise<string> =>
    (await network.run(network.node, command, args)).stdout.trim();
  const state = async () => ({
    links: (await said('ip', '-o', 'link')).match(/^\d+: \S+/gm),
    routes: await said('ip', 'route'),
    tables: await said('nft', 'list', 'tables'),
  });
  const before = await state();
  await network.startAgent();
  await network.addPod('one');
  await network.addPod('two');
  const { dataDir, clusterId } = network.settings;
  const during = await state();
  assert.match(during.routes, /unreachable 10\.42\.0\.0\/24/);
  assert.equal(during.tables.match(new RegExp(`coracle-${clusterId}`, 'g'))?.length, 2);
  const own = during.links?.filter((name) => name.includes(` c${clusterId}`));
  assert.equal(own?.length, 2);
  await network.killAgent();
  await network.leave();
  assert.deepEqual(await state(), before);
  assert.equal(existsSync(cniPaths(dataDir).confDir), false);
  await network.leave();
});

test('what another runtime has left is cleared away, before and while pods run', {
  timeout,
}, async () => {
  await using network = await NetworkNode.open();
  const run = async (command: string, ...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await network.run(network.node, command, args);
    assert.equal(code, 0, stderr);
  };
  // As Docker leaves it: a bridge, and rules that send others' packets to who is there no more.
  const leave = async (): Promise<void> => {
    await run('ip', 'link', 'add', 'docker0', 'type', 'bridge');
    await run('ip', 'addr', 'add', '172.17.0.1/16', 'dev', 'docker0');
    const chain = 'add chain ip nat PREROUTING { type nat hook prerouting priority -100; }';
    const rule = 'add rule ip nat PREROUTING tcp dport 8080 dnat to 172.17.0.2';
    await run('nft', `add table ip nat; ${chain}; ${rule}`);
  };
  // What `iptables -t nat -F` does.
  const clear = async (): Promise<void> => {
    await run('nft', 'flush', 'table', 'ip', 'nat');
    await run('ip', 'link', 'set', 'docker0', 'down');
    await run('ip', 'link', 'delete', 'docker0');
  };
  await leave();
  await clear();
  await network.startAgent();
  const one = await network.addPod('one');
  const two = await network.addPod('two');
  await network.startServer(one);
  assert.deepEqual(await servers(network, two, `${one.address}:8080`, 1), [one.address]);
  await leave();
  assert.equal(await answers(network, two, `${one.address}:8080`), false);
  await clear();
  assert.deepEqual(await servers(network, two, `${one.address}:8080`, 1), [one.address]);
  await network.startServer(network.outside);
  assert.equal(
    await clientSeen(network, one, `${outsideAddress}:8080`),
    network.settings.nodeIP,
    'the own rules are in a table of their own',
  );
  covers('RUN-011');
});

test('a service leads to its ready endpoints, whoever asks', { timeout }, async () => {
  await using network = await NetworkNode.open();
  await network.startAgent();
  const one = await network.addPod('one');
  const two = await network.addPod('two');
  const client = await network.addPod('client');
  await network.startServer(one);
  await network.startServer(two);
  const web = service('web', {
    ...{ type: 'NodePort', clusterIP: '10.43.0.7' },
    ports: [{ port: 80, nodePort: 30_080, protocol: 'TCP' }],
  });
  network.put(services, web);
  await network.until(
    async () => (await call(network, client, '10.43.0.7:80')) === 'refused',
    'without endpoints the service refuses',
  );
  assert.equal(await call(network, network.outside, '192.168.77.2:30080'), 'refused');

  network.put(endpointSlices, slice('web', [one, two], tcp));
  const both = [one.address, two.address].sort();
  await network.until(
    async () => await answers(network, client, '10.43.0.7:80'),
    'the service answers',
  );
  assert.deepEqual(await servers(network, client, '10.43.0.7:80', 24), both);
  assert.equal(await clientSeen(network, client, '10.43.0.7:80'), client.address);
  assert.equal(await call(network, client, '10.43.0.7:81'), 'refused', 'a port it has not');
  const inside = await network.brief(network.outside, 'call', '10.43.0.7', 80, 1);
  assert.ok(Array.isArray(inside) && typeof inside[0] === 'string', `outside: ${inside}`);
  assert.deepEqual(await servers(network, network.node, '10.43.0.7:80', 24), both);
  assert.deepEqual(await servers(network, network.node, '127.0.0.1:30080', 24), both);
  assert.deepEqual(await servers(network, network.outside, '192.168.77.2:30080', 24), both);
  assert.deepEqual(await servers(network, client, '192.168.77.2:30080', 24), both);
  // A pod that is chosen for its own call must not see itself as the sender.
  assert.deepEqual(await servers(network, one, '10.43.0.7:80', 24), both);

  network.put(endpointSlices, slice('web', [two], tcp));
  await network.until(
    async () => (await servers(network, client, '10.43.0.7:80')).join() === two.address,
    'the endpoint that left is not asked any more',
  );
  covers('NET-019', 'SVC-009', 'SVC-015', 'SVC-034', 'SVC-084', 'SVC-086');

  await network.killAgent();
  assert.deepEqual(await servers(network, client, '10.43.0.7:80', 4), [two.address]);
  assert.deepEqual(await servers(network, network.node, '127.0.0.1:30080', 4), [two.address]);
  superseded('SVC-027', {
    by: 'v1.33',
    now: 'the rules are nftables; they go on without the proxy, and pods see the caller',
  });
  network.put(endpointSlices, slice('web', [one], tcp));
  await network.startAgent();
  assert.deepEqual(await servers(network, client, '10.43.0.7:80', 4), [one.address]);

  network.remove(services, 'default/web');
  await network.until(
    async () => (await call(network, network.node, '127.0.0.1:30080')) === 'refused',
    'a deleted service is gone',
  );
});

test("client affinity, policy Local and a load balancer's ranges", { timeout }, async () => {
  await using network = await NetworkNode.open();
  await network.startAgent();
  const one = await network.addPod('one');
  const two = await network.addPod('two');
  const client = await network.addPod('client');
  await network.startServer(one);
  await network.startServer(two);
  const sticky = service('sticky', {
    ...{ type: 'NodePort', clusterIP: '10.43.0.8', sessionAffinity: 'ClientIP' },
    ports: [{ port: 80, nodePort: 30_081, protocol: 'TCP' }],
  });
  network.put(services, sticky);
  network.put(endpointSlices, slice('sticky', [one, two], tcp));
  await network.until(
    async () => await answers(network, client, '10.43.0.8:80'),
    'the service answers',
  );
  const [chosen = ''] = await servers(network, client, '10.43.0.8:80', 12);
  assert.deepEqual(await servers(network, client, '10.43.0.8:80', 100), [chosen]);
  const asKept = (spec: object) =>
    written<Service>({ ...sticky, spec: { ports: [{ port: 80 }], ...spec } }).hub.spec;
  assert.equal(asKept({})?.sessionAffinity, 'None');
  const config = asKept({ sessionAffinity: 'ClientIP' })?.sessionAffinityConfig;
  assert.deepEqual(config, { clientIP: { timeoutSeconds: 10_800 } });
  covers('SVC-026');
  const left = one.address === chosen ? two : one;
  network.put(endpointSlices, slice('sticky', [left], tcp));
  await network.until(
    async () => (await servers(network, client, '10.43.0.8:80', 1))[0] === left.address,
    'clients of an endpoint that left go to another',
  );

  const local = service('local', {
    ...{ type: 'LoadBalancer', clusterIP: '10.43.0.9', externalTrafficPolicy: 'Local' },
    ports: [{ port: 80, nodePort: 30_082, protocol: 'TCP' }],
    loadBalancerSourceRanges: ['192.168.77.0/30'],
  });
  const ingress = [{ ip: '203.0.113.5' }];
  network.put(services, { ...local, status: { loadBalancer: { ingress } } });
  network.put(endpointSlices, slice('local', [one], tcp));
  await network.until(
    async () => await answers(network, network.outside, '192.168.77.2:30082'),
    'the node port answers',
  );
  const seen = await clientSeen(network, network.outside, '192.168.77.2:30082');
  assert.equal(seen, outsideAddress, 'policy Local keeps the address of the client');
  await network.ip(network.outside, [
    `route add 203.0.113.5 via ${network.settings.nodeIP}`,
    'addr add 192.168.77.9/24 dev up0',
  ]);
  assert.equal(await clientSeen(network, network.outside, '203.0.113.5:80'), outsideAddress);
  const other = await network.brief(network.outside, 'call', '203.0.113.5', 80, 1, '192.168.77.9');
  assert.deepEqual(other, ['silent'], 'not in the ranges');
  covers('SVC-048', 'SVC-071');

  // What its user says is behind a Service may be anywhere.
  await network.startServer(network.outside);
  network.put(services, service('beyond', { clusterIP: '10.43.0.12', ports: [{ port: 80 }] }));
  network.put(endpointSlices, {
    ...slice('beyond', [], tcp),
    endpoints: [{ addresses: [outsideAddress] }],
  } satisfies EndpointSlice);
  await network.until(
    async () => await answers(network, client, '10.43.0.12:80'),
    'the service answers',
  );
  assert.deepEqual(await servers(network, client, '10.43.0.12:80', 4), [outsideAddress]);
  // That Endpoints become such slices is in test/component/endpoints.test.ts.
  covers('SVC-022');
});

const ask = (network: NetworkNode, from: Place, name: string, type = 'A') =>
  network.peer(from, 'resolve', name, type, '10.43.0.10', 53);

test('names of services are answered over UDP and TCP, others asked elsewhere', {
  timeout,
}, async () => {
  const upstreams = [
    { address: outsideAddress, port: 9 },
    { address: outsideAddress, port: 5353 },
  ];
  await using network = await NetworkNode.open({ upstreams });
  await network.startServer(network.outside, 'serve-dns', '5353', '198.51.100.80');
  const dns = service('kube-dns', {
    clusterIP: '10.43.0.10',
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    ],
  });
  const endpoint = { addresses: [network.settings.nodeIP] };
  network.put(services, dns);
  network.put(endpointSlices, {
    ...slice(
      'kube-dns',
      [],
      [
        { name: 'dns', port: 10_053, protocol: 'UDP' },
        { name: 'dns-tcp', port: 10_053, protocol: 'TCP' },
      ],
    ),
    endpoints: [endpoint],
  } satisfies EndpointSlice);
  network.put(services, service('web', { clusterIP: '10.43.0.7', ports: [{ port: 80 }] }));
  network.put(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } });
  await network.startAgent();
  const pod = await network.addPod('one');
  const name = 'web.default.svc.cluster.local';

  assert.deepEqual(await ask(network, pod, name), ['10.43.0.7']);
  assert.deepEqual(await ask(network, network.node, name), ['10.43.0.7'], 'the node may ask too');
  assert.deepEqual(await network.peer(pod, 'resolve-tcp', name, '10.43.0.10', 53), ['10.43.0.7']);
  assert.equal(await ask(network, pod, name, 'AAAA'), 'ENODATA');
  assert.equal(await ask(network, pod, 'nobody.default.svc.cluster.local'), 'ENOTFOUND');
  assert.deepEqual(await ask(network, pod, '7.0.43.10.in-addr.arpa', 'PTR'), [name]);
  assert.deepEqual(await ask(network, pod, 'www.example.org'), ['198.51.100.80']);
  const overTcp = ['resolve-tcp', 'tcp.example.org', '10.43.0.10', 53] as const;
  assert.deepEqual(await network.peer(pod, ...overTcp), ['198.51.100.80']);
  const direct = ['resolve', name, 'A', '192.168.77.2', 10_053] as const;
  assert.deepEqual(await network.peer(network.node, ...direct), ['10.43.0.7']);
  const stranger = await network.brief(network.outside, ...direct);
  assert.equal(stranger, 'ETIMEOUT', 'not an open resolver');
  covers('DNS-025', 'DNS-031');
});

test('UDP flows follow when their endpoint goes', { timeout }, async () => {
  await using network = await NetworkNode.open();
  await network.startAgent();
  const one = await network.addPod('one');
  const two = await network.addPod('two');
  const client = await network.addPod('client');
  await network.startServer(one);
  await network.startServer(two);
  const udp = [{ name: '', port: 8080, protocol: 'UDP' }];
  network.put(
    services,
    service('talk', {
      clusterIP: '10.43.0.11',
      ports: [{ port: 80, protocol: 'UDP' }],
    }),
  );
  network.put(endpointSlices, slice('talk', [one], udp));
  // The same source port each time: left alone, the kernel goes on with its first choice.
  const said = () => network.brief(client, 'send', '10.43.0.11', 80, 5555);
  await network.until(async () => (await said()) === one.address, 'the first endpoint answers');
  network.put(endpointSlices, slice('talk', [two], udp));
  await network.until(async () => (await said()) === two.address, 'the second one takes over');
  covers('SVC-021');
});

const callOf = (pod: TestPod) => ({ containerId: pod.containerId, namespacePath: pod.path });

const pod0 = { containerId: 'none', namespacePath: '/proc/0/ns/net' };
