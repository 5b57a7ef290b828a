/** Where a load balancer answers, as whoever runs it writes it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFieldError } from '#api/field-error.ts';
import type { LoadBalancerIngress, Service } from '#resources/types/core-v1.ts';
import { setIngressDefaults, validateServiceStatus } from './status-validation.ts';

function service(ingress: readonly LoadBalancerIngress[], type = 'LoadBalancer'): Service {
  const status = { loadBalancer: { ingress } };
  return { kind: 'Service', apiVersion: 'v1', metadata: { name: 'a' }, spec: { type }, status };
}

test('an address of a load balancer is one, and says how packets come', () => {
  const judge = (next: Service) => validateServiceStatus(next, service([])).map(formatFieldError);
  const at = 'status.loadBalancer.ingress';
  const [first] =
    setIngressDefaults(service([{ ip: '192.0.2.1' }])).status?.loadBalancer?.ingress ?? [];
  assert.equal(first?.ipMode, 'VIP');
  assert.deepEqual(judge(service([{ ip: '192.0.2.1', ipMode: 'VIP' }, { hostname: 'a.b' }])), []);
  assert.deepEqual(judge(service([{ ip: 'x', ipMode: 'Odd' }, { ipMode: 'VIP' }])), [
    `${at}[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`,
    `${at}[0].ipMode: Unsupported value: "Odd": supported values: "Proxy", "VIP"`,
    `${at}[1].ipMode: Forbidden: may not be specified when \`ip\` is not set`,
  ]);
  assert.deepEqual(judge(service([{ ip: '192.0.2.1' }], 'NodePort')), [
    `${at}: Forbidden: may only be used when \`spec.type\` is 'LoadBalancer'`,
  ]);
});
