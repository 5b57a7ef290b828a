/** Services: defaults, what updates keep, what is refused, and how they are listed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service, ServiceSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { updated, written } from '#test/descriptor.ts';

function body(spec: unknown, status?: unknown) {
  const metadata = { name: 'web', namespace: 'default', creationTimestamp: '2026-01-01T00:00:00Z' };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec, ...(status ? { status } : {}) };
}

const create = (spec: unknown) => written<Service>(body(spec));
const http = { port: 80 };

test('a service that only names a port gets everything else', () => {
  covers('SVC-081');
  const { hub, errors } = create({ selector: { app: 'web' }, ports: [http] });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.spec, {
    selector: { app: 'web' },
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    sessionAffinity: 'None',
    type: 'ClusterIP',
    internalTrafficPolicy: 'Cluster',
  });
  assert.deepEqual(hub.status, { loadBalancer: {} });
});

test('types and affinity bring defaults of their own', () => {
  const spec = (fields: object) => create({ ports: [http], ...fields }).hub.spec ?? {};
  assert.equal(spec({}).sessionAffinity, 'None');
  assert.equal(spec({}).sessionAffinityConfig, undefined);
  assert.equal(spec({ type: 'NodePort' }).externalTrafficPolicy, 'Cluster');
  assert.equal(spec({ externalIPs: ['1.2.3.4'] }).externalTrafficPolicy, 'Cluster');
  assert.equal(spec({ type: 'LoadBalancer' }).allocateLoadBalancerNodePorts, true);
  assert.deepEqual(spec({ sessionAffinity: 'ClientIP' }).sessionAffinityConfig, {
    clientIP: { timeoutSeconds: 10_800 },
  });
  const named = spec({ type: 'ExternalName', externalName: 'example.com' });
  assert.equal(named.internalTrafficPolicy, undefined);
});

test('services that are refused', () => {
  covers('SVC-029');
  const cases: readonly [object, string][] = [
    [{}, 'spec.ports: Required value'],
    [
      { ports: [http, { port: 81 }] },
      'spec.ports[0].name: Required value|spec.ports[1].name: Required value',
    ],
    [
      { ports: [{ port: 0 }] },
      'spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive|' +
        'spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
    [
      { ports: [{ port: 80, protocol: 'X' }] },
      'spec.ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
    ],
    [
      {
        ports: [
          { ...http, name: 'a' },
          { ...http, name: 'b' },
        ],
      },
      'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}',
    ],
    [
      { type: 'Magic', ports: [http] },
      'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
    ],
    [
      { ports: [{ ...http, nodePort: 30_000 }] },
      "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ],
    [{ type: 'ExternalName' }, 'spec.externalName: Required value'],
    [
      { type: 'NodePort', clusterIP: 'None', ports: [http] },
      'spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services',
    ],
    [
      { clusterIP: '1.2.3.999', ports: [http] },
      'spec.clusterIPs[0]: Invalid value: "1.2.3.999": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [
      { sessionAffinity: 'Sticky', ports: [http] },
      'spec.sessionAffinity: Unsupported value: "Sticky": supported values: "ClientIP", "None"',
    ],
    [
      {
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 86_401 } },
        ports: [http],
      },
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400',
    ],
    [
      { externalIPs: ['127.0.0.1'], ports: [http] },
      'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ],
    [
      { externalTrafficPolicy: 'Local', ports: [http] },
      'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(create(spec).errors.join('|'), text);
});

test('names of services are DNS labels, which may start with a digit', () => {
  assert.equal(create({ ports: [http] }).resource.nameRule, 'label');
});

const stored: Service = {
  ...create({ type: 'NodePort', ports: [http] }).hub,
  spec: {
    ...create({ type: 'NodePort', ports: [http] }).hub.spec,
    clusterIP: '10.43.0.7',
    clusterIPs: ['10.43.0.7'],
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80, nodePort: 30_080 }],
  },
};

const update = (spec: ServiceSpec) => updated<Service>(body(spec), stored);

test('what was given out stays when an update leaves it out', () => {
  const { hub, errors } = update({ type: 'NodePort', ports: [{ port: 81 }] });
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.clusterIP, '10.43.0.7');
  assert.deepEqual(hub.spec?.clusterIPs, ['10.43.0.7']);
  assert.deepEqual(hub.spec?.ipFamilies, ['IPv4']);
  assert.equal(hub.spec?.ports?.[0]?.nodePort, 30_080);
});

test('a node port set anew is kept, and never given to two ports', () => {
  const ports = [
    { name: '', port: 80 },
    { name: 'b', port: 81, nodePort: 30_080 },
  ];
  assert.deepEqual(
    update({ type: 'NodePort', ports }).hub.spec?.ports?.map(({ nodePort }) => nodePort),
    [undefined, 30_080],
  );
});

test('an address may not change once given out', () => {
  assert.deepEqual(update({ type: 'NodePort', clusterIP: '10.43.0.8', ports: [http] }).errors, [
    'spec.clusterIPs[0]: Invalid value: ["10.43.0.8"]: may not change once set',
  ]);
});

test('a change of type drops what only the old type had', () => {
  const asClusterIP = update({ ...stored.spec, type: 'ClusterIP' });
  assert.deepEqual(asClusterIP.errors, []);
  assert.equal(asClusterIP.hub.spec?.ports?.[0]?.nodePort, undefined);
  assert.equal(asClusterIP.hub.spec?.externalTrafficPolicy, undefined);
  const asName = update({ ...stored.spec, type: 'ExternalName', externalName: 'example.com' });
  assert.deepEqual(asName.errors, []);
  assert.equal(asName.hub.spec?.clusterIP, undefined);
  assert.equal(asName.hub.spec?.internalTrafficPolicy, undefined);
});

test('services in a list', () => {
  covers('SVC-069');
  superseded('SVC-007', { by: 'v1.9', now: 'EXTERNAL-IP of a NodePort service shows <none>' });
  const cells = (spec: object, status?: object) => {
    const { resource, hub } = create(spec);
    const shown: Service = { ...hub, ...(status ? { status } : {}) };
    const row = resource.columns.map(({ cell }) => cell(shown, Date.UTC(2026, 0, 1, 0, 5)));
    return row.slice(1).join(' ');
  };
  assert.deepEqual(create({ ports: [http] }).hub.status, { loadBalancer: {} });
  const ports = [{ ...http, nodePort: 30_001 }];
  const address = { clusterIP: '10.43.0.7', selector: { app: 'web' } };
  assert.equal(
    cells({ type: 'NodePort', ports, ...address }),
    'NodePort 10.43.0.7 <none> 80:30001/TCP 5m app=web',
  );
  assert.equal(
    cells({ ports: [http], ...address }),
    'ClusterIP 10.43.0.7 <none> 80/TCP 5m app=web',
  );
  assert.equal(cells({ clusterIP: 'None' }), 'ClusterIP None <none> <none> 5m <none>');
  assert.equal(
    cells({ type: 'LoadBalancer', ports: [http] }),
    'LoadBalancer <none> <pending> 80/TCP 5m <none>',
  );
  const ingress = [{ ip: '1.2.3.4' }, { hostname: 'a-very-long-name.example.com' }];
  assert.equal(
    cells({ type: 'LoadBalancer', ports: [http] }, { loadBalancer: { ingress } }),
    'LoadBalancer <none> 1.2.3.4,a-very-long-name.example.com 80/TCP 5m <none>',
  );
  assert.equal(
    cells({ type: 'ExternalName', externalName: 'example.com' }),
    'ExternalName <none> example.com <none> 5m <none>',
  );
});
