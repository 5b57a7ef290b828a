/**
 * Where packets end, traced through the items of one service; see `test/support/packet-tracer.ts`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service, ServiceSpec } from '#resources/types/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#resources/types/discovery-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { type Machine, type Outcome, type Packet, trace } from '#test/packet-tracer.ts';
import { formatLoad } from './nft.ts';
import { planService } from './service-plan.ts';

const node = { nodeName: 'node-1', clusterCIDR: '10.42.0.0/16', family: 'IPv4' } as const;
const own = ['192.0.2.2', '127.0.0.1'];
const client = '10.42.0.99';
const stranger = '198.51.100.7';

function service(spec: ServiceSpec, labels: Readonly<Record<string, string>> = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name: 'web', labels },
    spec: { clusterIP: '10.43.0.7', ports: [{ port: 80 }], ...spec },
  };
}

/** `address` on this node, `address@other` on another; a state may follow: `address leaving`. */
function endpoint(text: string): Endpoint {
  const [place = '', state = 'ready'] = text.split(' ');
  const [address = '', nodeName = 'node-1'] = place.split('@');
  const conditions = {
    ready: state === 'ready',
    serving: state !== 'dead',
    terminating: state === 'leaving' || state === 'dead',
  };
  return { addresses: [address], nodeName, conditions };
}

function slices(...endpoints: readonly string[]): readonly EndpointSlice[] {
  return [
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {},
      addressType: 'IPv4',
      endpoints: endpoints.map(endpoint),
      ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    },
  ];
}

function send(
  object: Service,
  endpoints: readonly string[],
  packet: Partial<Packet>,
  machine: Partial<Machine> = {},
): Outcome {
  const { items } = planService(object, slices(...endpoints), node);
  return trace(items, { from: client, to: '10.43.0.7', port: 80, ...packet }, { own, ...machine });
}

/** Where packets end for every chance: endpoints, sorted, with `*` where the client is hidden. */
function ends(
  object: Service,
  endpoints: readonly string[],
  packet: Partial<Packet> = {},
): readonly string[] {
  const all = Array.from({ length: 12 }, (_, chance) => {
    const outcome = send(object, endpoints, packet, { chance });
    if (outcome.verdict !== 'to') return outcome.verdict;
    return `${outcome.endpoint}${outcome.masqueraded ? ' *' : ''}`;
  });
  return [...new Set(all)].sort();
}

const here = '10.42.0.3';
const there = '10.42.1.4@node-2';

test('endpoints that are meant for this node are taken before others', () => {
  const hinted = (forNodes: readonly string[], text: string): Endpoint => ({
    ...endpoint(text),
    hints: { forNodes: forNodes.map((name) => ({ name })) },
  });
  const reached = (...endpoints: readonly Endpoint[]): readonly string[] => {
    const [slice] = slices();
    const { items } = planService(service({}), [{ ...slice, endpoints } as EndpointSlice], node);
    const packet = { from: client, to: '10.43.0.7', port: 80 };
    const outcomes = Array.from({ length: 12 }, (_, chance) =>
      trace(items, packet, { own, chance }),
    );
    return [
      ...new Set(outcomes.map((each) => ('endpoint' in each ? each.endpoint : 'none'))),
    ].sort();
  };
  const mine = hinted(['node-1'], there);
  const theirs = hinted(['node-2'], here);
  assert.deepEqual(reached(mine, theirs), ['10.42.1.4:8080']);
  const both = ['10.42.0.3:8080', '10.42.1.4:8080'];
  assert.deepEqual(reached(hinted(['node-3'], there), theirs), both, 'none is meant for this one');
  assert.deepEqual(reached(mine, endpoint(here)), both, 'one says nothing');
  const ending = hinted(['node-1'], `${there} leaving`);
  assert.deepEqual(reached(ending, theirs), ['10.42.0.3:8080'], 'those that are ready come first');
});

test('a cluster address leads to every ready endpoint', () => {
  const web = service({});
  assert.deepEqual(ends(web, [here, there]), ['10.42.0.3:8080', '10.42.1.4:8080']);
  assert.deepEqual(ends(web, [here, `${there} dead`]), ['10.42.0.3:8080']);
  assert.deepEqual(ends(web, []), ['refused']);
  assert.deepEqual(ends(web, [here], { port: 81 }), ['refused']);
  assert.deepEqual(ends(web, [here], { to: '10.43.0.8' }), ['untouched']);
  assert.deepEqual(ends(web, [here], { protocol: 'udp' }), ['refused']);
});

test('endpoints that shut down serve only when nobody else does', () => {
  const web = service({});
  assert.deepEqual(ends(web, [`${here} leaving`, there]), ['10.42.1.4:8080']);
  assert.deepEqual(ends(web, [`${here} leaving`]), ['10.42.0.3:8080']);
  assert.deepEqual(ends(web, [`${here} dead`]), ['refused']);
});

test('who is hidden: strangers, and pods that call themselves', () => {
  const web = service({});
  assert.deepEqual(ends(web, [there], { from: stranger }), ['10.42.1.4:8080 *']);
  assert.deepEqual(ends(web, [here], { from: here }), ['10.42.0.3:8080 *']);
  assert.deepEqual(ends(web, [here], { from: client }), ['10.42.0.3:8080']);
});

test('a node port answers on every address of the node', () => {
  const web = service({ type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] });
  for (const to of own) {
    const packet = { from: stranger, to, port: 30080 };
    assert.deepEqual(ends(web, [here, there], packet), ['10.42.0.3:8080 *', '10.42.1.4:8080 *']);
    assert.deepEqual(ends(web, [here, `${there} dead`], packet), ['10.42.0.3:8080 *']);
    assert.deepEqual(ends(web, [], packet), ['refused']);
  }
  const elsewhere = { from: stranger, to: '192.0.2.3', port: 30080 };
  assert.deepEqual(ends(web, [here], elsewhere), ['untouched']);
  superseded('SVC-028', { by: 'v1.33', now: 'the same by the rules of nftables' });
  covers('SVC-089', 'SVC-100');
});

test('external policy Local: strangers keep their address and reach only this node', () => {
  // Without a word the policy is Cluster: the test before.
  covers('SVC-055', 'SVC-090');
  const web = service({
    ...{ type: 'NodePort', externalTrafficPolicy: 'Local' },
    ports: [{ port: 80, nodePort: 30080 }],
    externalIPs: ['203.0.113.9'],
  });
  for (const place of [
    { to: '192.0.2.2', port: 30080 },
    { to: '203.0.113.9', port: 80 },
  ]) {
    const outside = { ...place, from: stranger };
    assert.deepEqual(ends(web, [here, there], outside), ['10.42.0.3:8080']);
    assert.deepEqual(ends(web, [there], outside), ['dropped']);
    assert.deepEqual(ends(web, [], outside), ['refused']);
    assert.deepEqual(ends(web, [`${here} leaving`, there], outside), ['10.42.0.3:8080']);
    const inside = { ...place, from: client };
    assert.deepEqual(ends(web, [there], inside), ['10.42.1.4:8080']);
    const machine = { ...place, from: '192.0.2.2' };
    assert.deepEqual(ends(web, [there], machine), ['10.42.1.4:8080 *']);
  }
  assert.deepEqual(ends(web, [here, there]), ['10.42.0.3:8080', '10.42.1.4:8080']);
});

test('an external address leads to the endpoints of any Service', () => {
  covers('SVC-038');
  const to = { to: '203.0.113.9', from: stranger };
  const externalIPs = ['203.0.113.9'];
  for (const type of ['ClusterIP', 'NodePort', 'LoadBalancer']) {
    const web = service({ type, externalIPs, ports: [{ port: 80, nodePort: 30080 }] });
    assert.deepEqual(ends(web, [here, there], to), ['10.42.0.3:8080 *', '10.42.1.4:8080 *'], type);
    assert.deepEqual(ends(web, [], to), ['refused']);
  }
  assert.deepEqual(ends(service({}), [here], to), ['untouched']);
});

test('internal policy Local: pods reach only endpoints of their node', () => {
  const web = service({ internalTrafficPolicy: 'Local' });
  assert.deepEqual(ends(web, [here, there]), ['10.42.0.3:8080']);
  assert.deepEqual(ends(web, [there]), ['dropped']);
  assert.deepEqual(ends(web, []), ['refused']);
});

test('a load balancer lets in the ranges that it names', () => {
  const web: Service = {
    ...service({ type: 'LoadBalancer', loadBalancerSourceRanges: ['198.51.100.0/24'] }),
    status: {
      loadBalancer: { ingress: [{ ip: '203.0.113.5' }, { ip: '203.0.113.6', ipMode: 'Proxy' }] },
    },
  };
  const at = (to: string, from: string) => ends(web, [here], { to, from });
  assert.deepEqual(at('203.0.113.5', stranger), ['10.42.0.3:8080 *']);
  assert.deepEqual(at('203.0.113.5', '198.51.101.7'), ['dropped']);
  assert.deepEqual(at('203.0.113.6', stranger), ['untouched'], 'the balancer does it itself');
});

test('client affinity sends a known client where it was', () => {
  const web = service({
    sessionAffinity: 'ClientIP',
    type: 'NodePort',
    ports: [{ port: 80, nodePort: 30080 }],
  });
  const memories = new Map<string, Set<string>>();
  const first = send(web, [here, there], {}, { memories, chance: 1 });
  const again = send(web, [here, there], {}, { memories, chance: 0 });
  assert.deepEqual(first, { verdict: 'to', endpoint: '10.42.1.4:8080', masqueraded: false });
  assert.deepEqual(again, first);
  const port = { to: '192.0.2.2', port: 30080 };
  const through = send(web, [here, there], port, { memories, chance: 0 });
  assert.deepEqual(through, { ...first, masqueraded: true }, 'also through the node port');
  const left = send(web, [here], {}, { memories, chance: 0 });
  assert.deepEqual(left, { ...first, endpoint: '10.42.0.3:8080' });
  const timeouts = (seconds?: number) =>
    planService(
      service({
        sessionAffinity: 'ClientIP',
        ...(seconds === undefined
          ? {}
          : { sessionAffinityConfig: { clientIP: { timeoutSeconds: seconds } } }),
      }),
      slices(here),
      node,
    ).items.flatMap((item) => (item.kind === 'memory' ? item.timeoutSeconds : []));
  assert.deepEqual([timeouts(), timeouts(60)], [[10_800], [60]]);
});

test('named ports and ports of other protocols find their own endpoints', () => {
  const dns = service({
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      { name: 'metrics', port: 9153, protocol: 'TCP' },
    ],
  });
  const [slice] = slices(here);
  assert.ok(slice);
  const ports = [
    { name: 'dns', port: 5353, protocol: 'UDP' },
    { name: 'dns-tcp', port: 5354, protocol: 'TCP' },
    { name: 'metrics', port: 9100, protocol: 'TCP' },
  ];
  const { items } = planService(dns, [{ ...slice, ports }], node);
  const to = (port: number, protocol: 'tcp' | 'udp') =>
    trace(items, { from: client, to: '10.43.0.7', port, protocol }, { own });
  const endpointAt = (at: string): Outcome => ({ verdict: 'to', endpoint: at, masqueraded: false });
  assert.deepEqual(to(53, 'udp'), endpointAt('10.42.0.3:5353'));
  assert.deepEqual(to(9153, 'tcp'), endpointAt('10.42.0.3:9100'));
  assert.deepEqual(to(53, 'tcp'), endpointAt('10.42.0.3:5354'));
  assert.deepEqual(to(9153, 'udp'), { verdict: 'refused' });
  covers('SVC-012');
});

test("services that are not the proxy's business leave no trace", () => {
  // The name of another is given by DNS: src/dns/resolver.test.ts.
  covers('SVC-023');
  const items = (object: Service) => planService(object, slices(here), node).items;
  assert.deepEqual(items(service({ clusterIP: 'None' })), []);
  assert.deepEqual(items(service({ type: 'ExternalName', externalName: 'example.org' })), []);
  const label = (name: string) => service({}, { [name]: 'x' });
  assert.deepEqual(items(label('service.kubernetes.io/service-proxy-name')), []);
  assert.deepEqual(items(label('service.kubernetes.io/headless')), []);
  assert.notDeepEqual(items(service({})), []);
});

test('a table of IPv6 has the addresses and endpoints of that family alone', () => {
  const both = {
    ...service({
      ...{ type: 'LoadBalancer', clusterIPs: ['10.43.0.7', 'fd43::7'] },
      ...{ ports: [{ port: 80, nodePort: 30080 }], externalIPs: ['203.0.113.9', '2001:db8::9'] },
      loadBalancerSourceRanges: ['198.51.100.0/24', '2001:db8:1::/48'],
    }),
    status: { loadBalancer: { ingress: [{ ip: '203.0.113.5' }, { ip: '2001:db8::5' }] } },
  };
  const [first] = slices(here);
  const second = { ...first, addressType: 'IPv6', endpoints: [endpoint('fd42::3')] };
  const all = [first, second] as readonly EndpointSlice[];
  const { items, udp } = planService(both, all, {
    ...{ nodeName: 'node-1', family: 'IPv6', clusterCIDR: 'fd42::/48' },
  });
  const text = formatLoad('t', items, 'ip6');
  assert.doesNotMatch(text, /\d+\.\d+\.\d+\.\d+|ip [sd]addr|table ip |dnat ip to|ipv4_addr/);
  for (const part of [
    'tcp-service-endpoints { fd43::7 . 80 . 0 : fd42::3 . 8080',
    '2001:db8::9 . 80 . 0 : fd42::3 . 8080',
    'ip6 saddr { 2001:db8:1::/48 } goto service-tcp-1',
    'tcp-node-endpoints { 30080 . 0 : fd42::3 . 8080 }',
    'ip6 saddr != { fd42::/48 } meta mark set',
    'hairpins { fd42::3 . fd42::3',
    'cluster-addresses { fd43::7 }',
  ]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
  assert.deepEqual(udp, []);
  const fourth = formatLoad('t', planService(both, all, node).items);
  assert.doesNotMatch(fourth, /ip6|fd4[23]::|2001:/);
});

test('client affinity of IPv6 remembers addresses of that family', () => {
  const web = service({ sessionAffinity: 'ClientIP', clusterIPs: ['10.43.0.7', 'fd43::7'] });
  const [first] = slices(here);
  const second = { ...first, addressType: 'IPv6', endpoints: [endpoint('fd42::3')] };
  const facts = { nodeName: 'node-1', family: 'IPv6', clusterCIDR: 'fd42::/48' } as const;
  const { items } = planService(web, [second as EndpointSlice], facts);
  const text = formatLoad('t', items, 'ip6');
  assert.match(text, /add set ip6 t clients-\S+ { type ipv6_addr; /);
  assert.match(text, /dnat ip6 to \[fd42::3\]:8080/);
  assert.match(text, /update @clients-\S+ { ip6 saddr }/);
});
