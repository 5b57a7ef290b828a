/**
 * `coracle kube-controller-manager`: the controllers alone, in a process of their own, for whatever
 * cluster a kubeconfig names, ours or upstream's; without one for the cluster whose pod it runs in.
 * Flags and defaults are upstream's; those that change nothing here are accepted and told of.
 *
 * Of several copies one works, the one that holds the Lease. Health and figures are on a port of
 * its own, as with the scheduler (`scheduler-command.ts`).
 */
import { hostname } from 'node:os';
import {
  logRequests,
  openClient,
  openHttpTransport,
  openInformers,
  RequestFigures,
  runAsLeader,
} from '#client';
import { ControllersMetrics, runControllers } from '#controllers';
import type { Clock } from '#kit/clock.ts';
import { giveBackLater } from '#kit/give-back-later.ts';
import type { Logger } from '#kit/log.ts';
import { nameSuffix, type Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { runComponentServers } from '../control-plane/component-servers.ts';
import { hostFolders } from '../control-plane/host-folders.ts';
import { ownCertificate } from '../settings/component-access.ts';
import {
  absentAmong,
  type ControllerManagerSettings,
} from '../settings/controller-manager-settings.ts';

interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Runs until the signal aborts. */
export async function controlFor(
  deps: Deps,
  settings: ControllerManagerSettings,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random, log } = deps;
  const { election, serving } = settings;
  using connection = openHttpTransport(settings.access);
  const requests = new RequestFigures(deps, new URL(settings.access.server));
  const observed = requests.observed(connection);
  const transport = logRequests(observed, deps, settings);
  const client = openClient({ transport, clock, userAgent: 'kube-controller-manager' });
  const metrics = new ControllersMetrics({ clock });
  const identity = `${hostname()}_${nameSuffix(random, 10)}`;
  log.info('controlling', { server: settings.access.server, identity, lease: election.name });
  for (const flag of settings.idle) log.warn('flag changes nothing here', { flag: `--${flag}` });
  for (const name of absentAmong(settings.controllers))
    log.warn('no such controller here', { name });
  const scope = new Scope(signal);
  if (serving.port !== 0) {
    const figures = { runs: true, read: async () => metrics.format() + requests.format() };
    const tls = { ...(serving.pair ?? ownCertificate(deps)), ca: serving.clientCA };
    const { address: host, openPaths } = serving;
    scope.spawn((inner) =>
      runComponentServers(
        { ...deps, client, figures },
        { ports: { controllers: serving.port }, host, openPaths, tls, signal: inner },
      ),
    );
  }
  scope.spawn((inner) => giveBackLater(clock, { signal: inner }));
  const work = async (leading: AbortSignal): Promise<void> => {
    const inner = new Scope(leading);
    const informers = openInformers({ client, clock, random, log });
    inner.spawn((one) => informers.run(one));
    const { clusterCIDR, rootCA, issuer, controllers } = settings;
    const options = { clusterCIDR, rootCA, issuer, settings: controllers, folders: hostFolders };
    inner.spawn((one) =>
      runControllers({ ...deps, client, informers, metrics }, { ...options, signal: one }),
    );
    await inner.join();
  };
  scope.spawn((inner) =>
    election.enabled
      ? runAsLeader({ ...deps, client }, { ...election, identity, signal: inner }, (leading) => {
          metrics.leads(election.name, true);
          const stop = (): void => metrics.leads(election.name, false);
          leading.addEventListener('abort', stop, { once: true });
          return work(leading);
        })
      : work(inner),
  );
  try {
    await scope.join();
  } catch (error) {
    if (error !== signal.reason) throw error;
  }
}
