/**
 * The API server alone on its SQLite store, as a program: what `programs.ts` measures beside
 * upstream's kube-apiserver and etcd. Settings come as one JSON argument; it ends on SIGTERM.
 */
import { type ApiServer, type ApiServerOptions, openApiServer } from '#apiserver';
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

export interface RunningServer extends AsyncDisposable {
  readonly server: ApiServer;
}

/** What every benchmark of a server begins with. */
export async function openServer(settings: ServerSettings): Promise<RunningServer> {
  const { file, port, ca, cert, key } = settings;
  const clock = systemClock();
  const random = systemRandom();
  const store = await openSqliteStore({ clock, log: silentLog }, { file });
  const server = await openApiServer(
    { store, catalog: openCatalog(), clock, random, log: silentLog },
    serverOptions(port),
  );
  await server.listen({ host: '127.0.0.1', port, cert, key, clientCA: ca });
  return {
    server,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

export function serverOptions(port: number): ApiServerOptions {
  return {
    serviceCIDR: '10.43.0.0/16',
    nodePortRange: { first: 30_000, last: 32_767 },
    advertise: { address: '192.0.2.1', port },
    serviceAccountKey: createPrivateKeyPem(),
    serviceAccountIssuer: 'https://kubernetes.default.svc',
    legacyVersions: false,
    rehearsal: true,
  };
}

export async function serve(settings: ServerSettings): Promise<void> {
  await using _running = await openServer(settings);
  await terminated();
}

export function terminated(): Promise<void> {
  return new Promise((resolve) => process.once('SIGTERM', () => resolve()));
}
