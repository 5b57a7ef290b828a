/**
 * The API server: requests in, objects out. `openApiServer` assembles it; `lifecycle.ts` is the walk
 * of one request; `http.ts` is the only file that knows Node's HTTP.
 */
import type { Catalog } from '#api/catalog.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { Identity, Transport } from '#kit/transport.ts';
import type { Store } from '#store';

export interface ApiServerDeps {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface ApiServerOptions {
  /** Address range of Services, as `10.43.0.0/16`. */
  readonly serviceCIDR: string;
  /** Inclusive. */
  readonly nodePortRange: { readonly first: number; readonly last: number };
  /** Address and port under which clients in the cluster reach this server (Endpoints of `kubernetes`). */
  readonly advertise: { readonly address: string; readonly port: number };
  /** PEM of the EC P-256 key that signs service-account tokens, and their issuer. */
  readonly serviceAccountKey: string;
  readonly serviceAccountIssuer: string;
  /** Put legacy group versions (extensions/v1beta1, …) into discovery. */
  readonly legacyVersions: boolean;
  /** How to reach kubelets: client certificate for the node proxy (logs, exec, port-forward). */
  readonly kubeletClient?:
    | { readonly ca: string; readonly cert: string; readonly key: string }
    | undefined;
}

export interface ApiServer extends AsyncDisposable {
  /** A transport on this thread whose requests come from `identity`. */
  direct(identity: Identity): Transport;
  /** Serves HTTPS; resolves when listening. Port 0 picks one. */
  listen(options: {
    readonly host: string;
    readonly port: number;
    /** PEM. */
    readonly cert: string;
    readonly key: string;
    readonly clientCA: string;
  }): Promise<{ readonly port: number }>;
}
