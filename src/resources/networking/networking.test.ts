/** Network policies, Ingresses in all their versions, classes, addresses and ranges. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { shown, updated, written } from '#test/descriptor.ts';
import type {
  Ingress,
  IngressClass,
  IPAddress,
  NetworkPolicy,
  ServiceCIDR,
} from '../types/networking-v1.ts';

const metadata = { name: 'one', namespace: 'default' };

function create<T extends KubeObject>(
  kind: string,
  spec: object | undefined,
  { apiVersion = 'networking.k8s.io/v1', name = 'one' } = {},
) {
  return written<T>({ apiVersion, kind, metadata: { ...metadata, name }, ...(spec && { spec }) });
}

const policy = (spec?: object, apiVersion?: string) =>
  create<NetworkPolicy>('NetworkPolicy', spec, apiVersion === undefined ? {} : { apiVersion });
const ingress = (spec: object) => create<Ingress>('Ingress', spec);

test('a policy is about what comes in, and about what goes out where it says so', () => {
  assert.deepEqual(policy().hub.spec, { podSelector: {}, policyTypes: ['Ingress'] });
  for (const apiVersion of ['networking.k8s.io/v1', 'extensions/v1beta1']) {
    const { hub, errors, cells } = policy(
      { podSelector: { matchLabels: { app: 'db' } }, egress: [{ ports: [{ port: 53 }] }] },
      apiVersion,
    );
    assert.deepEqual(errors, []);
    assert.equal(hub.apiVersion, 'networking.k8s.io/v1');
    assert.deepEqual(hub.spec?.policyTypes, ['Ingress', 'Egress']);
    assert.deepEqual(hub.spec?.egress, [{ ports: [{ port: 53, protocol: 'TCP' }] }]);
    assert.equal(cells(0)['Pod-Selector'], 'app=db');
    assert.equal(shown(hub, 'extensions/v1beta1').apiVersion, 'extensions/v1beta1');
  }
});

test('policies that are refused', () => {
  const port = (fields: object) => ({ ingress: [{ ports: [fields] }] });
  const from = (fields: object) => ({ ingress: [{ from: [fields] }] });
  const cases: readonly [object, string][] = [
    [
      port({ protocol: 'ICMP' }),
      'spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"',
    ],
    [
      port({ port: 0 }),
      'spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
    [
      port({ port: 90, endPort: 80 }),
      'spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`',
    ],
    [
      port({ port: 'web', endPort: 80 }),
      'spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric',
    ],
    [
      port({ endPort: 80 }),
      'spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is not specified',
    ],
    [from({}), 'spec.ingress[0].from[0]: Required value: must specify a peer'],
    [
      from({ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }),
      'spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer',
    ],
    [
      from({ ipBlock: { cidr: '10.0.0.0' } }),
      'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
    [
      from({ ipBlock: { cidr: '10.1.0.0/16', except: ['10.2.0.0/24'] } }),
      'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.2.0.0/24": must be a strict subset of `cidr`',
    ],
    [
      { policyTypes: ['Sideways'] },
      'spec.policyTypes[0]: Unsupported value: "Sideways": supported values: "Egress", "Ingress"',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(policy(spec).errors.join('|'), text);
  const inside = { cidr: '2001:db8::/32', except: ['2001:db8:1::/64'] };
  assert.deepEqual(policy(from({ ipBlock: inside })).errors, []);
});

const service = { service: { name: 'web', port: { number: 80 } } };
const rules = (path: object) => ({
  rules: [{ host: 'a.example.com', http: { paths: [{ backend: service, ...path }] } }],
});

test('an Ingress of old becomes one of today, and back', () => {
  const spec = {
    backend: { serviceName: 'web', servicePort: 80 },
    rules: [
      { host: 'a.example.com', http: { paths: [{ path: '/x', backend: oldBackend('named') }] } },
      { host: 'b.example.com' },
    ],
  };
  for (const apiVersion of ['extensions/v1beta1', 'networking.k8s.io/v1beta1']) {
    const { hub, errors } = create<Ingress>('Ingress', spec, { apiVersion });
    assert.deepEqual(errors, []);
    assert.deepEqual(hub.spec?.defaultBackend, service);
    assert.deepEqual(hub.spec?.rules?.[0]?.http?.paths, [
      {
        path: '/x',
        pathType: 'ImplementationSpecific',
        backend: { service: { name: 'web', port: { name: 'named' } } },
      },
    ]);
    const old = JSON.parse(JSON.stringify(shown(hub, apiVersion)));
    assert.equal(old.apiVersion, apiVersion);
    assert.deepEqual(old.spec.backend, spec.backend);
    assert.deepEqual(old.spec.rules[0].http.paths[0].backend, oldBackend('named'));
    assert.deepEqual(old.spec.rules[1], { host: 'b.example.com' });
  }
});

function oldBackend(servicePort: string) {
  return { serviceName: 'web', servicePort };
}

test('Ingresses that are refused', () => {
  const cases: readonly [object, string][] = [
    [{}, 'spec: Invalid value: null: either `defaultBackend` or `rules` must be specified'],
    [
      { defaultBackend: {} },
      'spec.defaultBackend: Invalid value: "": resource or service backend is required',
    ],
    [
      { defaultBackend: { service: { name: 'web' } } },
      'spec.defaultBackend: Required value: port name or number is required',
    ],
    [
      { defaultBackend: { service: { name: 'web', port: { number: 1, name: 'a' } } } },
      'spec.defaultBackend: Invalid value: "": cannot set both port name & port number',
    ],
    [
      { defaultBackend: { ...service, resource: { kind: 'A', name: 'b' } } },
      'spec.defaultBackend: Invalid value: "": cannot set both resource and service backends',
    ],
    [rules({}), 'spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified'],
    [
      rules({ path: '/a//b/..', pathType: 'Prefix' }),
      'spec.rules[0].http.paths[0].path: Invalid value: "/a//b/..": must not contain \'//\'|spec.rules[0].http.paths[0].path: Invalid value: "/a//b/..": cannot end with \'/..\'',
    ],
    [
      rules({ path: 'a', pathType: 'ImplementationSpecific' }),
      'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
    ],
    [
      rules({ path: '/', pathType: 'Fuzzy' }),
      'spec.rules[0].http.paths[0].pathType: Unsupported value: "Fuzzy": supported values: "Exact", "ImplementationSpecific", "Prefix"',
    ],
    [
      { rules: [{ host: '10.0.0.1' }] },
      'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
    ],
    [{ rules: [{ host: 'a', http: {} }] }, 'spec.rules[0].http.paths: Required value'],
  ];
  for (const [spec, text] of cases) assert.equal(ingress(spec).errors.join('|'), text);
  assert.deepEqual(ingress({ rules: [{ host: '*.example.com' }] }).errors, []);
  assert.match(ingress({ rules: [{ host: 'a.*.com' }] }).errors.join(), /wildcard DNS-1123/);
});

test('an Ingress has the addresses that its controller reports', () => {
  const { hub } = ingress({ ...rules({ path: '/', pathType: 'Prefix' }), ingressClassName: 'x' });
  assert.deepEqual(hub.status, { loadBalancer: {} });
  const status = { loadBalancer: { ingress: [{ ip: '192.0.2.7' }, { hostname: 'lb.example' }] } };
  const next = updated<Ingress>({ ...hub, spec: {}, status }, hub, 'status');
  assert.deepEqual(next.errors, []);
  assert.deepEqual(next.hub.spec, hub.spec);
  assert.deepEqual(updated<Ingress>({ ...hub, status }, hub).hub.status, hub.status);
  const row = next.cells(0);
  assert.equal(row['Class'], 'x');
  assert.equal(row['Hosts'], 'a.example.com');
  assert.equal(row['Address'], '192.0.2.7,lb.example');
  assert.equal(row['Ports'], '80');
  const bad = { loadBalancer: { ingress: [{ ip: 'x' }, { hostname: '192.0.2.7' }] } };
  assert.deepEqual(updated<Ingress>({ ...hub, status: bad }, hub, 'status').errors, [
    'status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    'status.loadBalancer.ingress[1].hostname: Invalid value: "192.0.2.7": must be a DNS name, not an IP address',
  ]);
  const many = ['a', 'b', 'c', 'd'].map((host) => ({ host }));
  assert.equal(ingress({ rules: many }).cells(0)['Hosts'], 'a,b,c + 1 more...');
  assert.equal(ingress({ defaultBackend: service, tls: [{}] }).cells(0)['Ports'], '80, 443');
});

test('classes name a controller for good', () => {
  const parameters = { apiGroup: 'example.com', kind: 'Settings', name: 'x' };
  const { hub, errors, cells } = create<IngressClass>('IngressClass', {
    controller: 'example.com/ingress',
    parameters,
  });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.spec?.parameters, { ...parameters, scope: 'Cluster' });
  assert.equal(cells(0)['Parameters'], 'Settings.example.com/x');
  const refused = (spec: object) => create<IngressClass>('IngressClass', spec).errors.join('|');
  assert.equal(refused({}), 'spec.controller: Required value');
  assert.equal(
    refused({ controller: 'mine' }),
    'spec.controller: Invalid value: "mine": must be a domain-prefixed path (such as "acme.io/foo")',
  );
  const controller = 'example.com/ingress';
  assert.equal(
    refused({ controller, parameters: { ...parameters, namespace: 'a' } }),
    "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
  );
  assert.equal(
    refused({ controller, parameters: { ...parameters, scope: 'Namespace' } }),
    "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
  );
  assert.deepEqual(updated({ ...hub, spec: { controller: 'example.com/other' } }, hub).errors, [
    'spec.controller: Invalid value: "example.com/other": field is immutable',
  ]);
});

test('addresses are named by themselves', () => {
  const parentRef = { resource: 'services', namespace: 'default', name: 'web' };
  const address = (name: string, spec: object = { parentRef }) =>
    create<IPAddress>('IPAddress', spec, { name });
  for (const name of ['10.43.0.1', '2001:db8::1']) assert.deepEqual(address(name).errors, []);
  assert.equal(address('10.43.0.1').cells(0)['ParentRef'], 'services/default/web');
  assert.deepEqual(address('2001:DB8::1').errors, [
    'metadata.name: Invalid value: "2001:DB8::1": must be a canonical format IP address',
  ]);
  assert.deepEqual(address('web', {}).errors, [
    'metadata.name: Invalid value: "web": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    'spec.parentRef: Required value',
  ]);
  const { hub } = address('10.43.0.1');
  const next = { ...hub, spec: { parentRef: { ...parentRef, name: 'other' } } };
  assert.match(updated(next, hub).errors.join(), /^spec.parentRef: .*: field is immutable$/);
});

test('ranges stay; a second family may come', () => {
  const range = (...cidrs: string[]) => create<ServiceCIDR>('ServiceCIDR', { cidrs });
  const { hub, errors, cells } = range('10.43.0.0/16');
  assert.deepEqual(errors, []);
  assert.equal(cells(0)['CIDRs'], '10.43.0.0/16');
  const both = { ...hub, spec: { cidrs: ['10.43.0.0/16', '2001:db8::/112'] } };
  assert.deepEqual(updated(both, hub).errors, []);
  assert.deepEqual(updated({ ...hub, spec: { cidrs: ['10.44.0.0/16'] } }, hub).errors, [
    'spec.cidrs[0]: Invalid value: "10.44.0.0/16": field is immutable',
  ]);
  const odd = { ...hub, spec: { cidrs: ['10.43.0.0/16', '2001:db8::1/112'] } };
  assert.deepEqual(updated(odd, hub).errors, [
    'spec.cidrs[1]: Invalid value: "2001:db8::1/112": must not have bits set beyond the prefix length',
  ]);
  assert.deepEqual(updated({ ...hub, spec: {} }, hub).errors, [
    'spec.cidrs: Invalid value: null: field is immutable',
  ]);
  assert.deepEqual(range().errors, ['spec.cidrs: Required value: at least one CIDR required']);
  assert.match(range('10.0.0.0/8', '11.0.0.0/8').errors.join(), /no more than one IP for each/);
});
