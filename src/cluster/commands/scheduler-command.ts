/**
 * `coracle kube-scheduler`: a scheduler alone, in a process of its own, for whatever cluster a
 * kubeconfig names, ours or upstream's; without one for the cluster whose pod it runs in. Flags and
 * defaults are upstream's, and so is the `KubeSchedulerConfiguration`: with another scheduler name
 * it works beside the cluster's own scheduler, with the same one it waits for the Lease.
 *
 * The API server need not be there yet: whatever it asks is asked again. Health and figures are on
 * a port of its own, with a certificate made at the start.
 */
import { hostname } from 'node:os';
import {
  type HttpTransportOptions,
  logRequests,
  openClient,
  openHttpTransport,
  openInformers,
  RequestFigures,
} from '#client';
import type { Clock } from '#kit/clock.ts';
import { giveBackLater } from '#kit/give-back-later.ts';
import type { Level, LogFormat, Logger } from '#kit/log.ts';
import { nameSuffix, type Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import {
  readConfiguration,
  runSchedulerAsLeader,
  type SchedulerConfiguration,
  SchedulerMetrics,
} from '#scheduler';
import { runComponentServers } from '../control-plane/component-servers.ts';
import {
  componentAccess,
  type Environment,
  ownCertificate,
  readText,
} from '../settings/component-access.ts';
import { ConfigError } from '../settings/config.ts';
import { logFormatOf, verbosityOf } from '../settings/verbosity.ts';

/** As the command line gives them. */
export interface SchedulerFlags {
  readonly kubeconfig?: string;
  readonly master?: string;
  readonly config?: string;
  readonly leaderElect?: string | boolean;
  readonly leaderElectResourceName?: string;
  readonly leaderElectResourceNamespace?: string;
  readonly bindAddress?: string;
  readonly securePort?: string;
  readonly v?: string;
  readonly loggingFormat?: string;
}

export interface SchedulerSettings {
  readonly access: HttpTransportOptions;
  /** Text of a `KubeSchedulerConfiguration`. */
  readonly source: string;
  readonly election: {
    readonly enabled: boolean | undefined;
    readonly name: string | undefined;
    readonly namespace: string | undefined;
  };
  readonly bindAddress: string;
  /** 0: no port. */
  readonly securePort: number;
  readonly logLevel: Level;
  readonly logsRequests: boolean;
  readonly logFormat: LogFormat;
}

const defaultSource =
  'apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n';
export function readSchedulerSettings(
  flags: SchedulerFlags,
  environment: Environment,
): SchedulerSettings {
  const port = Number(flags.securePort ?? 10_259);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new ConfigError(`--secure-port ${flags.securePort}: not a port`);
  }
  return {
    access: componentAccess(flags, environment),
    source: flags.config === undefined ? defaultSource : readText('--config', flags.config),
    election: {
      enabled: booleanOf(flags.leaderElect),
      name: flags.leaderElectResourceName,
      namespace: flags.leaderElectResourceNamespace,
    },
    bindAddress: flags.bindAddress ?? '0.0.0.0',
    securePort: port,
    ...verbosityOf(flags.v),
    logFormat: logFormatOf(flags.loggingFormat),
  };
}

function booleanOf(value: string | boolean | undefined): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  if (value === 'true' || value === 'false') return value === 'true';
  throw new ConfigError(`--leader-elect ${value}: true or false`);
}

export async function scheduleFor(
  deps: { readonly clock: Clock; readonly random: Random; readonly log: Logger },
  settings: SchedulerSettings,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random, log } = deps;
  const configuration = await readConfiguration(settings.source);
  using connection = openHttpTransport(settings.access);
  const requests = new RequestFigures(deps, new URL(settings.access.server));
  const observed = requests.observed(connection);
  const transport = logRequests(observed, deps, settings);
  const client = openClient({ transport, clock, userAgent: 'kube-scheduler' });
  const metrics = new SchedulerMetrics();
  const identity = `${hostname()}_${nameSuffix(random, 10)}`;
  const election = electionOf(configuration, settings);
  log.info('scheduling', { server: settings.access.server, identity, lease: election.name });
  const scope = new Scope(signal);
  if (settings.securePort !== 0) {
    const figures = { runs: true, read: async () => metrics.format() + requests.format() };
    const { bindAddress: host, securePort } = settings;
    const tls = { ...ownCertificate(deps), ca: undefined };
    scope.spawn((inner) =>
      runComponentServers(
        { ...deps, client, figures },
        { ports: { scheduler: securePort }, host, tls, signal: inner },
      ),
    );
  }
  const informers = openInformers({ client, clock, random, log });
  scope.spawn((inner) => informers.run(inner));
  scope.spawn((inner) => giveBackLater(clock, { signal: inner }));
  scope.spawn((inner) =>
    runSchedulerAsLeader(
      { ...deps, client, informers, metrics },
      { ...configuration, election, identity, signal: inner },
    ),
  );
  try {
    await scope.join();
  } catch (error) {
    if (error !== signal.reason) throw error;
  }
}

/** Flags go before what the file says. */
function electionOf(
  { leaderElection }: SchedulerConfiguration,
  { election }: SchedulerSettings,
): SchedulerConfiguration['leaderElection'] {
  return {
    ...leaderElection,
    enabled: election.enabled ?? leaderElection.enabled,
    name: election.name ?? leaderElection.name,
    namespace: election.namespace ?? leaderElection.namespace,
  };
}
