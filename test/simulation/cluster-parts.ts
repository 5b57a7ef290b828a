/**
 * The components of a simulated cluster: those of production, wired as the cluster does it. Where
 * there are several copies of the controllers or the scheduler, the one that has the Lease works.
 */
import { openInformers, runAsLeader } from '#client';
import { ControllersMetrics, runControllers } from '#controllers';
import { runHollowNodes } from '#hollow';
import { assert } from '#kit/assert.ts';
import { seededRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { issueCertificate } from '#kit/x509.ts';
import { runScheduler, SchedulerMetrics } from '#scheduler';
import { extender, extenderPost } from './extender.ts';
import type { SimulationOptions } from './options.ts';
import type { Intruder, IntruderDeps } from './world.ts';

const scrapeMs = 30_000;
export const leaseNamespace = 'kube-system';

/** Of one among several copies: what they compete for, and who this one is. */
interface Election {
  readonly lease: string;
  readonly identity: string;
}

export function controllersOf(election: Election | undefined): Intruder {
  const validity = { notBeforeMs: 0, notAfterMs: Date.UTC(2049, 0, 1) };
  const wanted = { commonName: 'simulated', role: 'ca', ...validity } as const;
  const issuer = issueCertificate({ random: seededRandom(1) }, wanted);
  const options = { clusterCIDR: '10.42.0.0/16', rootCA: issuer.cert, issuer };
  return electedOf(election, async (deps, signal) => {
    const informers = openInformers(deps);
    const scope = new Scope(signal);
    const metrics = new ControllersMetrics(deps);
    scope.spawn((inner) => informers.run(inner));
    scope.spawn((inner) =>
      runControllers(
        { ...deps, informers, metrics, onBug: rethrow },
        { ...options, signal: inner },
      ),
    );
    scope.spawn((inner) => scrape(deps, metrics, inner));
    await scope.join();
  });
}

export function schedulerOf(
  election: Election | undefined,
  { isExtended }: SimulationOptions,
): Intruder {
  return electedOf(election, async (deps, signal) => {
    const informers = openInformers(deps);
    const scope = new Scope(signal);
    const metrics = new SchedulerMetrics();
    const own = { ...deps, informers, metrics, post: extenderPost(deps) };
    const extenders = isExtended ? [extender] : [];
    scope.spawn((inner) => informers.run(inner));
    scope.spawn((inner) => runScheduler(own, { extenders, signal: inner }));
    scope.spawn((inner) => scrape(deps, metrics, inner));
    await scope.join();
  });
}

/** Somebody reads the figures again and again, as in every cluster. */
async function scrape(
  { clock }: IntruderDeps,
  metrics: { format(): string },
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await clock.sleep(scrapeMs, { signal });
    assert(/^[a-z_]+(\{.*\})? [-+\d.e]+$/m.test(metrics.format()), 'figures are lines of text');
  }
}

export function hollowNode(
  { delays, failedStarts, capacity, zones }: SimulationOptions,
  name: string,
  firstIndex: number,
): Intruder {
  const failures = { starts: failedStarts };
  const zone = zones === 0 ? [] : [`zone-${firstIndex % zones}`];
  const options = { names: [name], firstIndex, delays, failures, capacity, zones: zone };
  return (deps, signal) => runHollowNodes(deps, { ...options, signal });
}

function electedOf(election: Election | undefined, work: Intruder): Intruder {
  if (election === undefined) return work;
  const { lease, identity } = election;
  return (deps: IntruderDeps, signal: AbortSignal) =>
    runAsLeader(deps, { namespace: leaseNamespace, name: lease, identity, signal }, (inner) =>
      work(deps, inner),
    );
}

/** A broken assertion ends the component, which ends the simulation. */
function rethrow(error: Error): never {
  throw error;
}
