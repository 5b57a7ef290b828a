/** The Service of the cluster DNS comes with the first node that answers, wherever that is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { covers } from '#test/covers.ts';
import { ServerProcess } from '#test/server-process.ts';
import { dnsPortAnnotation } from './cluster-dns.ts';

const service = '/api/v1/namespaces/kube-system/services/kube-dns';
const slices = '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices';

test('nodes that answer names are behind the Service', { timeout: 300_000 }, async () => {
  await using server = await ServerProcess.open(['--store', 'memory']);
  await server.start();
  const endpoints = async (): Promise<readonly string[]> => {
    const { text } = await server.request('GET', slices);
    const list: { items: readonly EndpointSlice[] } = JSON.parse(text);
    return list.items.flatMap(({ metadata, endpoints: all, ports }) =>
      (all ?? []).map(({ addresses }) => `${metadata.name} ${addresses[0]}:${ports?.[0]?.port}`),
    );
  };
  const node = async (name: string, address: string, port: string): Promise<void> => {
    const metadata = { name, annotations: { [dnsPortAnnotation]: port } };
    const made = await server.request('POST', '/api/v1/nodes', { kind: 'Node', metadata });
    assert.equal(made.status, 201, made.text);
    const status = { addresses: [{ type: 'InternalIP', address }] };
    // Without a version: the controllers write to a new node as well.
    const full = { kind: 'Node', metadata, status };
    const told = await server.request('PUT', `/api/v1/nodes/${name}/status`, full);
    assert.equal(told.status, 200, told.text);
  };
  const become = (wanted: readonly string[]): Promise<void> =>
    server.until(
      async () => JSON.stringify((await endpoints()).toSorted()) === JSON.stringify(wanted),
      `endpoints are ${wanted.join(', ')}`,
    );
  assert.equal((await server.request('GET', service)).status, 404);
  await node('a', '10.0.0.1', '10053');
  await node('b', '10.0.0.2', '10054');
  await become(['kube-dns-10053 10.0.0.1:10053', 'kube-dns-10054 10.0.0.2:10054']);
  const made = await server.request('GET', service);
  const { metadata, spec } = JSON.parse(made.text);
  assert.match(spec.clusterIP, /^10\.\d+\.0\.10$/);
  assert.equal(metadata.labels['k8s-app'], 'kube-dns');
  const ports: readonly { port: number; protocol: string }[] = spec.ports;
  const said = ports.map(({ port, protocol }) => `${port}/${protocol}`);
  assert.deepEqual(said.filter((each) => each.startsWith('53/')).toSorted(), ['53/TCP', '53/UDP']);
  covers('DNS-023');
  await server.request('DELETE', '/api/v1/nodes/a');
  await become(['kube-dns-10054 10.0.0.2:10054']);
  await server.request('DELETE', '/api/v1/nodes/b');
  await become([]);
});
