/** The loop around the rules: when it loads, what it changes, how it recovers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { endpointSlices, services } from '#resources/kinds.ts';
import type { Service } from '#resources/types/core-v1.ts';
import { superseded } from '#test/covers.ts';
import { FakeInformers } from '#test/fake-informers.ts';
import { runServiceProxy } from './proxy.ts';

const web: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'default', name: 'web' },
  spec: { clusterIP: '10.43.0.7', ports: [{ port: 80 }] },
};
const slice = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    ...{ namespace: 'default', name: 'web-1' },
    labels: { 'kubernetes.io/service-name': 'web' },
  },
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.42.0.3'] }],
  ports: [{ name: '', port: 8080, protocol: 'TCP' }],
};

/** A proxy whose transactions are collected; `fail` makes the next one be refused. */
function start() {
  const informers = new FakeInformers();
  const clock = new VirtualClock();
  const transactions: string[] = [];
  const state = { fail: false, ready: 0 };
  const stop = new AbortController();
  const nft = async (text: string): Promise<void> => {
    transactions.push(text);
    if (!state.fail) return;
    state.fail = false;
    throw new Error('refused');
  };
  const running = runServiceProxy(
    { informers, clock, log: silentLog, nft, flows: noFlows },
    {
      ...{ nodeName: 'node-1', clusterId: 'x7k2m', clusterCIDR: '10.42.0.0/16' },
      signal: stop.signal,
      onReady: () => {
        state.ready += 1;
      },
    },
  );
  const end = async (): Promise<void> => {
    stop.abort(new Error('over'));
    await running;
  };
  return { informers, clock, transactions, state, end };
}

const noFlows = { list: async () => [], forget: async () => {} };

test('nothing is loaded before everything has been seen', async () => {
  superseded('SVC-065', {
    by: 'v1.26',
    now: 'nothing before both are known, and by nftables; there is no mode of userspace to clean up after',
  });
  const { informers, transactions, state, end } = start();
  informers.put(services, web);
  await settle();
  assert.deepEqual(transactions, []);
  informers.put(endpointSlices, slice);
  informers.finishList();
  await settle();
  assert.equal(transactions.length, 1);
  assert.match(transactions[0] ?? '', /^table ip coracle-x7k2m-services\ndelete table/);
  assert.match(transactions[0] ?? '', /10\.43\.0\.7 \. 80 \. 0 : 10\.42\.0\.3 \. 8080/);
  assert.equal(state.ready, 1);
  await end();
});

test('later changes touch single elements; nothing is sent when nothing differs', async () => {
  const { informers, transactions, end } = start();
  informers.put(services, web);
  informers.put(endpointSlices, slice);
  informers.finishList();
  await settle();
  informers.put(services, { ...web, metadata: { ...web.metadata, labels: { a: 'b' } } });
  await settle();
  assert.equal(transactions.length, 1);
  informers.put(endpointSlices, { ...slice, endpoints: [{ addresses: ['10.42.0.4'] }] });
  await settle();
  assert.equal(transactions.length, 2);
  assert.doesNotMatch(transactions[1] ?? '', /delete table/);
  assert.match(transactions[1] ?? '', /10\.43\.0\.7 \. 80 \. 0 : 10\.42\.0\.4 \. 8080/);
  informers.remove(services, 'default/web');
  await settle();
  assert.match(transactions[2] ?? '', /delete element ip \S+ cluster-addresses \{ 10\.43\.0\.7 \}/);
  await end();
});

test('a slice that changes its service changes both', async () => {
  const { informers, transactions, end } = start();
  const other = { ...web, metadata: { ...web.metadata, name: 'other' } };
  informers.put(services, web);
  informers.put(services, { ...other, spec: { ...web.spec, clusterIP: '10.43.0.8' } });
  informers.put(endpointSlices, slice);
  informers.finishList();
  await settle();
  const labels = { 'kubernetes.io/service-name': 'other' };
  informers.put(endpointSlices, { ...slice, metadata: { ...slice.metadata, labels } });
  await settle();
  const change = transactions[1] ?? '';
  assert.match(change, /delete element ip \S+ service-addresses \{ 10\.43\.0\.7 \. tcp \. 80 \}/);
  assert.match(change, /add element ip \S+ service-addresses \{ 10\.43\.0\.8 \. tcp \. 80 :/);
  await end();
});

test('after a refused transaction the whole table is loaded again, later', async () => {
  const { informers, clock, transactions, state, end } = start();
  informers.put(services, web);
  informers.finishList();
  await settle();
  state.fail = true;
  informers.put(endpointSlices, slice);
  await settle();
  assert.equal(transactions.length, 2);
  await clock.advance(400);
  assert.equal(transactions.length, 2);
  await clock.advance(200);
  assert.match(transactions[2] ?? '', /delete table/);
  assert.match(transactions[2] ?? '', /10\.42\.0\.3 \. 8080/);
  assert.equal(state.ready, 1);
  await end();
});
