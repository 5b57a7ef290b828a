/** The words of CNI: results, errors and versions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { answer, type CniCall, type CniCalls } from './cni-server.ts';
import type { Kernel } from './netlink.ts';

const noKernel: Kernel = { apply: async () => assert.fail('not called') };

function ask(calls: Partial<CniCalls>, variables: Readonly<Record<string, string>>, body = '{}') {
  const never = (): never => assert.fail('not called');
  const all: CniCalls = { add: never, delete: never, check: never, ...calls };
  const lines = Object.entries(variables).map(([name, value]) => `CNI_${name}=${value}\n`);
  return answer({ log: silentLog, calls: all }, `${lines.join('')}\n${body}`, noKernel);
}

const variables = {
  COMMAND: 'ADD',
  CONTAINERID: 'c0ffee',
  NETNS: '/run/netns/x',
  IFNAME: 'eth0',
  ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-1',
};

test('ADD is answered in the version of the configuration', async () => {
  const seen: CniCall[] = [];
  const add: CniCalls['add'] = async (call) => {
    seen.push(call);
    return { hostName: 'cx7k2mabc', address: '10.42.0.7' };
  };
  const [code, text = ''] = (await ask({ add }, variables, '{"cniVersion":"1.0.0"}')).split('\n');
  assert.equal(code, '0');
  assert.deepEqual(JSON.parse(text), {
    cniVersion: '1.0.0',
    interfaces: [{ name: 'cx7k2mabc' }, { name: 'eth0', sandbox: '/run/netns/x' }],
    ips: [{ address: '10.42.0.7/32', interface: 1 }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: {},
  });
  assert.deepEqual(seen, [
    {
      containerId: 'c0ffee',
      namespacePath: '/run/netns/x',
      interfaceName: 'eth0',
      pod: 'default/web-1',
      ports: [],
    },
  ]);
  const old = await ask({ add }, variables, '{"cniVersion":"0.4.0"}');
  assert.match(old, /"cniVersion":"0\.4\.0".*"version":"4"/);
});

test('a pod of both families has two addresses and two ways out', async () => {
  const add: CniCalls['add'] = async () => {
    return { hostName: 'cx7k2mabc', address: '10.42.0.7', secondAddress: 'fd42::7' };
  };
  const [, text = ''] = (await ask({ add }, variables, '{"cniVersion":"0.4.0"}')).split('\n');
  const { ips, routes } = JSON.parse(text);
  assert.deepEqual(ips, [
    { version: '4', address: '10.42.0.7/32', interface: 1 },
    { version: '6', address: 'fd42::7/128', interface: 1 },
  ]);
  assert.deepEqual(routes, [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]);
});

test('ports of the node come with the configuration, as far as they are ports', async () => {
  const seen: CniCall[] = [];
  const add: CniCalls['add'] = async (call) => {
    seen.push(call);
    return { hostName: 'cx7k2mabc', address: '10.42.0.7' };
  };
  const portMappings = [
    { hostPort: 8080, containerPort: 80, protocol: 'TCP', hostIP: '127.0.0.1' },
    // As containerd writes them.
    { HostPort: 53, ContainerPort: 53, Protocol: 'udp', HostIP: '' },
    { hostPort: 0, containerPort: 80 },
    { hostPort: '8 9', containerPort: 80 },
  ];
  const body = JSON.stringify({ cniVersion: '1.0.0', runtimeConfig: { portMappings } });
  await ask({ add }, variables, body);
  assert.deepEqual(seen[0]?.ports, [
    { protocol: 'tcp', hostIP: '127.0.0.1', hostPort: 8080, containerPort: 80 },
    { protocol: 'udp', hostIP: '', hostPort: 53, containerPort: 53 },
  ]);
});

test('a failing call is an error object and exit code 1', async () => {
  const add = async (): Promise<never> => {
    throw new Error('every pod address of this node is in use');
  };
  const text = await ask({ add }, variables, '{"cniVersion":"1.0.0"}');
  const msg = 'every pod address of this node is in use';
  assert.equal(text, `1\n${JSON.stringify({ cniVersion: '1.0.0', code: 100, msg })}`);
});

test('VERSION, DEL and what nobody knows', async () => {
  assert.match(await ask({}, { COMMAND: 'VERSION' }), /^0\n.*"supportedVersions":\[.*"1\.0\.0"\]/);
  assert.equal(await ask({ delete: async () => {} }, { ...variables, COMMAND: 'DEL' }), '0\n');
  assert.equal(await ask({ check: async () => {} }, { ...variables, COMMAND: 'CHECK' }), '0\n');
  assert.match(await ask({}, { COMMAND: 'DANCE' }), /^1\n.*"code":4/);
  const nothing = await answer({ log: silentLog, calls: { ...noCalls } }, '', noKernel);
  assert.match(nothing, /^1\n/);
});

const noCalls: CniCalls = {
  add: async () => assert.fail('not called'),
  delete: async () => {},
  check: async () => {},
};
