/** Ports of the node as elements of nftables maps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatHostPorts } from './host-ports.ts';

test('ports of one address and ports of all are kept apart, and so are families', () => {
  const text = formatHostPorts('coracle-abc-pods', [
    {
      address: '10.42.0.7',
      ports: [
        { protocol: 'tcp', hostIP: '', hostPort: 8080, containerPort: 80 },
        { protocol: 'UDP', hostIP: '0.0.0.0', hostPort: 53, containerPort: 5353 },
        { protocol: 'tcp', hostIP: '::1', hostPort: 9, containerPort: 9 },
        { protocol: 'nonsense', hostIP: '', hostPort: 9, containerPort: 9 },
      ],
    },
    {
      address: '10.42.0.8',
      ports: [{ protocol: 'tcp', hostIP: '127.0.0.1', hostPort: 8080, containerPort: 80 }],
    },
  ]);
  assert.deepEqual(text.trim().split('\n'), [
    'flush map ip coracle-abc-pods host-ports',
    'flush map ip coracle-abc-pods host-ports-of',
    'flush set ip coracle-abc-pods own-ports',
    'add element ip coracle-abc-pods host-ports { tcp . 8080 : 10.42.0.7 . 80, udp . 53 : 10.42.0.7 . 5353 }',
    'add element ip coracle-abc-pods host-ports-of { 127.0.0.1 . tcp . 8080 : 10.42.0.8 . 80 }',
    'add element ip coracle-abc-pods own-ports { 10.42.0.7 . 10.42.0.7, 10.42.0.8 . 10.42.0.8 }',
  ]);
  const both = {
    ...{ address: '10.42.0.9', secondAddress: 'fd42::9' },
    ports: [
      { protocol: 'tcp', hostIP: '', hostPort: 8080, containerPort: 80 },
      { protocol: 'tcp', hostIP: '::', hostPort: 8081, containerPort: 80 },
      { protocol: 'tcp', hostIP: '0.0.0.0', hostPort: 8082, containerPort: 80 },
      { protocol: 'udp', hostIP: 'fd00::1', hostPort: 53, containerPort: 53 },
    ],
  };
  assert.deepEqual(
    formatHostPorts('t', [both, { ...both, secondAddress: undefined }], 'IPv6'),
    [
      'flush map ip6 t host-ports',
      'flush map ip6 t host-ports-of',
      'flush set ip6 t own-ports',
      'add element ip6 t host-ports { tcp . 8080 : fd42::9 . 80, tcp . 8081 : fd42::9 . 80 }',
      'add element ip6 t host-ports-of { fd00::1 . udp . 53 : fd42::9 . 53 }',
      'add element ip6 t own-ports { fd42::9 . fd42::9 }\n',
    ].join('\n'),
  );
  assert.match(
    formatHostPorts('t', [both]),
    /host-ports { tcp \. 8080 : .*, tcp \. 8082 : [^,]* }/,
  );
  assert.equal(formatHostPorts('t', []).split('\n').length, 4);
});
