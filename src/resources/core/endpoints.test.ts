/** Endpoints: defaults, addresses that may not be, what a list shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { written } from '#test/descriptor.ts';
import type { Endpoints } from '../types/core-v1.ts';

const create = (...subsets: readonly object[]) =>
  written<Endpoints>({ apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 'web' }, subsets });

test('ports are TCP, and a list shows three addresses', () => {
  const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'].map((ip) => ({ ip }));
  const { hub, errors, cells } = create({ addresses, ports: [{ port: 80 }] });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.subsets?.[0]?.ports, [{ port: 80, protocol: 'TCP' }]);
  assert.equal(cells(0)['Endpoints'], '10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more...');
  assert.equal(create().cells(0)['Endpoints'], '<none>');
  assert.equal(create({ addresses: [{ ip: 'fd00::1' }] }).cells(0)['Endpoints'], 'fd00::1');
});

test('endpoints that are refused', () => {
  const ip = 'subsets[0].addresses[0].ip';
  const cases: readonly [object, string][] = [
    [{}, 'subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`'],
    [
      { addresses: [{ ip: '127.0.0.1' }] },
      `${ip}: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`,
    ],
    [
      { addresses: [{ ip: 'fe80::1' }] },
      `${ip}: Invalid value: "fe80::1": may not be in the link-local range (169.254.0.0/16, fe80::/10)`,
    ],
    [{ addresses: [{ ip: '::' }] }, `${ip}: Invalid value: "::": may not be unspecified (::)`],
    [
      { addresses: [{ ip: 'x' }] },
      `${ip}: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)|${ip}: Invalid value: "x": must be a valid IP address`,
    ],
    [
      { addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 1 }, { name: 'b', port: 0 }] },
      'subsets[0].ports[0].name: Required value|subsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
  ];
  for (const [subset, text] of cases) assert.equal(create(subset).errors.join('|'), text);
});
