/**
 * An API server of a test on a port of its own, over TLS, with a kubeconfig of its administrator:
 * for clients that are programs of others. Nothing but the server runs: no controllers, no nodes.
 */
import { kubeconfigText } from '#client';
import { systemClock } from '#kit/clock.ts';
import { systemRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { openTestServer, type TestServer, type TestServerOptions } from './fixtures.ts';

const dayMs = 24 * 60 * 60 * 1000;
const host = '127.0.0.1';

export interface ApiPort extends AsyncDisposable {
  readonly server: TestServer;
  readonly port: number;
  /** Text of a kubeconfig. */
  readonly kubeconfig: string;
}

export async function openApiPort(given: TestServerOptions = {}): Promise<ApiPort> {
  const random = given.random ?? systemRandom();
  const server = await openTestServer({ ...given, random });
  const nowMs = systemClock().now();
  const validity = { notBeforeMs: nowMs - dayMs, notAfterMs: nowMs + dayMs };
  const deps = { random };
  const issuer = issueCertificate(deps, { commonName: 'test-ca', role: 'ca', ...validity });
  const serving = issueCertificate(deps, {
    commonName: 'kube-apiserver',
    role: 'server',
    dnsNames: ['localhost'],
    ipAddresses: [host],
    issuer,
    ...validity,
  });
  const client = issueCertificate(deps, {
    commonName: 'kubernetes-admin',
    organizations: ['system:masters'],
    role: 'client',
    issuer,
    ...validity,
  });
  const { port } = await server.server.listen({ host, port: 0, ...serving, clientCA: issuer.cert });
  const address = `https://${host}:${port}`;
  return {
    server,
    port,
    kubeconfig: kubeconfigText('test', { server: address, caCert: issuer.cert, client }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
