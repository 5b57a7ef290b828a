/**
 * The API server alone on its SQLite store, as a program: what `programs.ts` measures beside
 * upstream's kube-apiserver and etcd. Settings come as one JSON argument; it ends on SIGTERM.
 */
import { openApiServer } from '#apiserver';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { createPrivateKeyPem } from '#kit/x509.ts';
import { openCatalog } from '#resources/resources.ts';
import { openSqliteStore } from '#store';

export interface ServerSettings {
  readonly file: string;
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export async function serve({ file, port, ca, cert, key }: ServerSettings): Promise<void> {
  const clock = systemClock();
  const random = systemRandom();
  const store = await openSqliteStore({ clock, log: silentLog }, { file });
  const server = await openApiServer(
    { store, catalog: openCatalog(), clock, random, log: silentLog },
    {
      serviceCIDR: '10.43.0.0/16',
      nodePortRange: { first: 30_000, last: 32_767 },
      advertise: { address: '192.0.2.1', port },
      serviceAccountKey: createPrivateKeyPem(),
      serviceAccountIssuer: 'https://kubernetes.default.svc',
      legacyVersions: false,
    },
  );
  await server.listen({ host: '127.0.0.1', port, cert, key, clientCA: ca });
  await new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
}
