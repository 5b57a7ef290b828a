/** What each name of the cluster answers, over a handful of services and endpoints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contains } from '#kit/ip.ts';
import { formatAddress, networkHas } from '#kit/ip-network.ts';
import type { Service, ServiceSpec } from '#resources/types/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#resources/types/discovery-v1.ts';
import { covers } from '#test/covers.ts';
import { lookUp, type RecordSource, recordTtl } from './records.ts';
import { codes, type Record, types } from './wire.ts';

const zone = {
  domain: 'cluster.local',
  isPodAddress: (address: string) =>
    contains('10.42.0.0/16', address) || networkHas('fd42::/48', address),
};

function service(name: string, spec: ServiceSpec): Service {
  const metadata = { namespace: 'default', name };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec };
}

function slice(name: string, endpoints: readonly Endpoint[]): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'default', name, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints,
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  };
}

const http = [{ name: 'http', port: 80, protocol: 'TCP' }];
const all = [
  service('web', { clusterIP: '10.43.0.7', ports: http }),
  service('db', { clusterIP: 'None', ports: http }),
  service('shy', { clusterIP: 'None', publishNotReadyAddresses: true }),
  service('nobody', { clusterIP: 'None' }),
  service('both', { clusterIP: '10.43.0.9', clusterIPs: ['10.43.0.9', 'fd43::9'], ports: http }),
  service('pair', { clusterIP: 'None', ports: http }),
  service('outside', { type: 'ExternalName', externalName: 'Example.ORG.' }),
];
const slices = [
  slice('web', [{ addresses: ['10.42.0.3'], hostname: 'first' }]),
  slice('db', [
    { addresses: ['10.42.0.4'], hostname: 'db-0' },
    { addresses: ['10.42.0.5'], conditions: { ready: true } },
    { addresses: ['10.42.0.6'], hostname: 'db-2', conditions: { ready: false } },
  ]),
  slice('shy', [{ addresses: ['10.42.0.8'], conditions: { ready: false } }]),
  slice('nobody', []),
  slice('pair', [{ addresses: ['10.42.0.9'], hostname: 'pair-0' }]),
  {
    ...slice('pair', [{ addresses: ['fd42::9'], hostname: 'pair-0' }, { addresses: ['fd42::a'] }]),
    addressType: 'IPv6',
  },
];

const source: RecordSource = {
  service: (namespace, name) =>
    all.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
  slices: (namespace, name) =>
    slices.filter(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
  hasNamespace: (name) => name === 'default' || name === 'kube-system',
  serviceByAddress: (address) =>
    all.find(({ spec }) => (spec?.clusterIPs ?? [spec?.clusterIP]).includes(address)),
  slicesByAddress: (address) =>
    slices.filter(({ endpoints }) => endpoints?.some(({ addresses }) => addresses[0] === address)),
};

const domain = 'svc.cluster.local';

function ask(name: string, type: keyof typeof types = 'A') {
  return lookUp({ name, type: types[type], class: 1 }, zone, source);
}

/** What the records say, or `missing`, `nothing`, `foreign`. */
function said(name: string, type: keyof typeof types = 'A'): readonly string[] | string {
  const found = ask(name, type);
  if (found.kind === 'foreign') return 'foreign';
  if (found.kind === 'alias') return `alias ${found.target}`;
  if (found.code === codes.noName) return 'missing';
  if (found.answers.length === 0) return 'nothing';
  return found.answers.map(content);
}

function content(record: Record): string {
  switch (record.type) {
    case 'A':
      return record.address;
    case 'SRV':
      return `${record.priority} ${record.weight} ${record.port} ${record.target}`;
    case 'TXT':
      return record.text;
    case 'AAAA':
      return sixth(record.bytes);
    case 'SOA':
      return record.server;
    default:
      return record.target;
  }
}

function sixth(bytes: Uint8Array): string {
  const value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  return formatAddress({ family: 'IPv6', value });
}

test('addresses of both families are records of their own type', () => {
  assert.deepEqual(said(`both.default.${domain}`), ['10.43.0.9']);
  assert.deepEqual(said(`both.default.${domain}`, 'AAAA'), ['fd43::9']);
  assert.deepEqual(said(`pair.default.${domain}`), ['10.42.0.9']);
  assert.deepEqual(said(`pair.default.${domain}`, 'AAAA'), ['fd42::9', 'fd42::a']);
  assert.deepEqual(said(`pair-0.pair.default.${domain}`, 'AAAA'), ['fd42::9']);
  assert.deepEqual(said(`fd42--a.pair.default.${domain}`, 'AAAA'), ['fd42::a']);
  assert.deepEqual(said('fd42--7.default.pod.cluster.local', 'AAAA'), ['fd42::7']);
  assert.equal(said('fd42--7.default.pod.cluster.local'), 'nothing');
  assert.deepEqual(said(`_http._tcp.both.default.${domain}`, 'SRV'), [
    `0 100 80 both.default.${domain}`,
  ]);
  const found = ask(`_http._tcp.both.default.${domain}`, 'SRV');
  const beside = found.kind === 'found' ? found.additional : [];
  assert.deepEqual(beside.map(content), ['10.43.0.9', 'fd43::9']);
  const zeros = '0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0';
  const reverse = (last: string, range: string) =>
    said(`${last}.0.${zeros}.${range}.d.f.ip6.arpa`, 'PTR');
  assert.deepEqual(reverse('9', '3.4'), [`both.default.${domain}`]);
  assert.deepEqual(reverse('a', '2.4'), [`fd42--a.pair.default.${domain}`]);
  assert.equal(reverse('f', '2.4'), 'missing', 'a pod address without a name');
  assert.equal(reverse('f', '7.4'), 'foreign');
  assert.equal(said('d.f.ip6.arpa', 'PTR'), 'foreign');
});

test('a service has its cluster address; without one, those of its ready endpoints', () => {
  assert.deepEqual(said(`web.default.${domain}`), ['10.43.0.7']);
  assert.deepEqual(said(`db.default.${domain}`), ['10.42.0.4', '10.42.0.5']);
  assert.deepEqual(said(`shy.default.${domain}`), ['10.42.0.8']);
  assert.equal(said(`nobody.default.${domain}`), 'missing');
  assert.equal(said(`web.kube-system.${domain}`), 'missing');
  const found = ask(`web.default.${domain}`);
  assert.equal(found.kind === 'found' && found.answers[0]?.ttl, recordTtl);
  covers('DNS-013');
});

test('a name that exists has nothing of another type; a name that does not is missing', () => {
  assert.equal(said(`web.default.${domain}`, 'AAAA'), 'nothing');
  assert.equal(said(`default.${domain}`), 'nothing');
  assert.equal(said(domain), 'nothing');
  assert.equal(said('cluster.local'), 'nothing');
  assert.deepEqual(said('cluster.local', 'SOA'), ['ns.dns.cluster.local']);
  assert.equal(said(`elsewhere.${domain}`), 'missing');
  assert.equal(said('web.default.cluster.local'), 'missing', 'the old form without svc');
  assert.equal(said(`a.b.c.web.default.${domain}`), 'missing');
  assert.deepEqual(said('dns-version.cluster.local', 'TXT'), ['1.1.0']);
  covers('DNS-014');
});

test('endpoints have names: their host name, else their address', () => {
  assert.deepEqual(said(`db-0.db.default.${domain}`), ['10.42.0.4']);
  assert.deepEqual(said(`10-42-0-5.db.default.${domain}`), ['10.42.0.5']);
  assert.equal(said(`db-2.db.default.${domain}`), 'missing', 'not ready');
  assert.equal(said(`10-42-0-4.db.default.${domain}`), 'missing', 'it has a host name');
  assert.deepEqual(said(`first.web.default.${domain}`), ['10.42.0.3']);
  covers('DNS-047');
});

test('ports have SRV records, with the addresses beside them', () => {
  assert.deepEqual(said(`_http._tcp.web.default.${domain}`, 'SRV'), [
    `0 100 80 web.default.${domain}`,
  ]);
  assert.deepEqual(said(`_http._tcp.db.default.${domain}`, 'SRV'), [
    `0 50 8080 db-0.db.default.${domain}`,
    `0 50 8080 10-42-0-5.db.default.${domain}`,
  ]);
  assert.deepEqual(
    said(`db.default.${domain}`, 'SRV'),
    said(`_http._tcp.db.default.${domain}`, 'SRV'),
  );
  assert.equal(said(`_http._udp.web.default.${domain}`, 'SRV'), 'missing');
  assert.equal(said(`_https._tcp.web.default.${domain}`, 'SRV'), 'missing');
  assert.equal(said(`_http._tcp.web.default.${domain}`), 'nothing');
  const found = ask(`_http._tcp.db.default.${domain}`, 'SRV');
  const beside = found.kind === 'found' ? found.additional : [];
  assert.deepEqual(
    beside.map((record) => [record.name, content(record)]),
    [
      [`db-0.db.default.${domain}`, '10.42.0.4'],
      [`10-42-0-5.db.default.${domain}`, '10.42.0.5'],
    ],
  );
  covers('DNS-011', 'DNS-046');
});

test('pods have names made of their address', () => {
  assert.deepEqual(said('10-42-0-7.default.pod.cluster.local'), ['10.42.0.7']);
  assert.equal(said('10-42-0-7.nowhere.pod.cluster.local'), 'missing');
  assert.equal(said('web.default.pod.cluster.local'), 'missing');
  assert.equal(said('10-42-0-7.default.pod.cluster.local', 'AAAA'), 'nothing');
  covers('DNS-015');
});

test('addresses have names', () => {
  assert.deepEqual(said('7.0.43.10.in-addr.arpa', 'PTR'), [`web.default.${domain}`]);
  assert.deepEqual(said('4.0.42.10.in-addr.arpa', 'PTR'), [`db-0.db.default.${domain}`]);
  assert.equal(said('77.0.42.10.in-addr.arpa', 'PTR'), 'missing', 'a pod address without a name');
  assert.equal(said('8.8.8.8.in-addr.arpa', 'PTR'), 'foreign');
  assert.equal(said('43.10.in-addr.arpa', 'PTR'), 'foreign');
});

test('an external name is an alias, and other names are not ours', () => {
  assert.equal(said(`outside.default.${domain}`), 'alias example.org');
  assert.equal(said(`x.outside.default.${domain}`), 'missing');
  assert.equal(said('example.org'), 'foreign');
  assert.equal(said('notcluster.local'), 'foreign');
});
