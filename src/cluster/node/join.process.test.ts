/**
 * A node's way into a running server, step by step: the token of the server's first start, the
 * signed description of the cluster, a certificate for the token, what the cluster says to nodes.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { after, test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { type Client, openClient, openHttpTransport } from '#client';
import { systemClock } from '#kit/clock.ts';
import { openLog } from '#kit/log.ts';
import { certificateSigningRequests, nodes, secrets } from '#resources/kinds.ts';
import { covers } from '#test/covers.ts';
import { ServerProcess } from '#test/server-process.ts';
import { readClusterFacts } from '../control-plane/cluster-facts.ts';
import { formatJoinToken, parseJoinToken, tokenPath } from '../credentials/join-token.ts';
import { requestCertificate } from '../credentials/node-certificates.ts';
import { discoverCluster, readClusterInfo } from './join.ts';

const clock = systemClock();
const log = openLog({ clock, level: 'error', format: 'text', write: () => {} });
const { signal } = new AbortController();
const limit = { timeout: 300_000 };

const transports: Disposable[] = [];
after(() => {
  for (const transport of transports) transport[Symbol.dispose]();
});

function clientOf(server: string, ca: string, more: object): Client {
  const transport = openHttpTransport({ server, ca, ...more });
  transports.push(transport);
  return openClient({ transport, clock, userAgent: 'test' });
}

test('a node joins with the token of the server', limit, async () => {
  covers('AUT-015', 'AUT-075');
  await using process = await ServerProcess.open();
  await process.start();
  const path = tokenPath(process.dataDir);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const token = parseJoinToken(readFileSync(path, 'utf8').trim());
  const server = `https://127.0.0.1:${process.port}`;
  const deps = { clock, log };

  const ca = await discoverCluster(deps, { server, token, signal });
  assert.equal(new X509Certificate(ca).subject, 'CN=coracle-ca');
  const wrong = { ...token, caHash: '0'.repeat(64) };
  await assert.rejects(
    discoverCluster(deps, { server, token: wrong, signal }),
    /its authority is not the one that the token names/,
  );

  const bearer = formatJoinToken({ ...token, caHash: undefined });
  const joining = clientOf(server, ca, { token: bearer });
  // It may ask for its certificate and for nothing else.
  await assert.rejects(joining.list(nodes, { signal }), (error) => isReason(error, 'Forbidden'));
  const asked = { nodeName: 'n1', sort: 'client' } as const;
  const pair = await requestCertificate({ ...deps, client: joining }, asked, { signal });
  assert.equal(new X509Certificate(pair.cert).subject, 'O=system:nodes\nCN=system:node:n1');

  const client = clientOf(server, ca, pair);
  const { items } = await client.list(certificateSigningRequests, { signal });
  assert.deepEqual(
    items.map(({ spec, status }) => [spec.username, status?.conditions?.map(({ type }) => type)]),
    [[`system:bootstrap:${token.id}`, ['Approved']]],
  );
  assert.equal((await readClusterFacts(client, { signal })).clusterDomain, 'cluster.local');
  await assert.rejects(client.list(secrets, { signal }), (error) => isReason(error, 'Forbidden'));

  // Once it is a node it renews its certificate by itself.
  const renewed = await requestCertificate({ ...deps, client }, asked, { signal });
  assert.notEqual(renewed.cert, pair.cert);

  await servingCertificate(clientOf(server, ca, renewed));

  // A description that somebody has changed is not believed, nor a token that is gone.
  const maps = '/api/v1/namespaces/kube-public/configmaps/cluster-info';
  const told = JSON.parse((await process.request('GET', maps)).text);
  const { kubeconfig, ...signatures } = told.data;
  const forged = { ...told, data: { ...signatures, kubeconfig: `${kubeconfig}# changed` } };
  assert.deepEqual(readClusterInfo(forged, token), {
    refused: 'its description is not signed with this token',
  });
  const secret = `/api/v1/namespaces/kube-system/secrets/bootstrap-token-${token.id}`;
  assert.equal((await process.request('DELETE', secret)).status, 200);
  await assert.rejects(
    requestCertificate({ ...deps, client: joining }, asked, { signal }),
    (error) => isReason(error, 'Unauthorized'),
  );
});

/** Signed when the Node says that the address is its own. */
async function servingCertificate(client: Client): Promise<void> {
  const asked = {
    nodeName: 'n1',
    sort: 'serving',
    dnsNames: ['n1'],
    ipAddresses: ['10.0.0.9'],
  } as const;
  const waiting = requestCertificate({ client, clock, log }, asked, { signal });
  const asOwn = async () => {
    const { items } = await client.list(certificateSigningRequests, { signal });
    return items.find(({ spec }) => spec.signerName === 'kubernetes.io/kubelet-serving');
  };
  while ((await asOwn()) === undefined) await clock.sleep(20, { signal });
  // Time to sign it in, for who would.
  await clock.sleep(300, { signal });
  assert.deepEqual((await asOwn())?.status?.conditions ?? [], []);
  const status = {
    addresses: [
      { type: 'InternalIP', address: '10.0.0.9' },
      { type: 'Hostname', address: 'n1' },
    ],
  };
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } };
  await client.create(nodes, node, { signal });
  const change = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(nodes, { name: 'n1' }, { status }, change);
  const pair = await waiting;
  assert.equal(new X509Certificate(pair.cert).checkIP('10.0.0.9'), '10.0.0.9');
}
