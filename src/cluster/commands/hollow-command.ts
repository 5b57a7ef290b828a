/**
 * `coracle hollow`: nodes that run no containers, in a process of their own, for whatever cluster a
 * kubeconfig names: ours or upstream's. They stay registered when the process ends, as machines do
 * that are switched off.
 */
import { logRequests, openClient, openHttpTransport } from '#client';
import { runHollowNodes } from '#hollow';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { readAccess } from '../credentials/kubeconfig-access.ts';
import type { HollowSettings } from '../settings/hollow-settings.ts';

export async function joinWithHollowNodes(
  deps: { readonly clock: Clock; readonly random: Random; readonly log: Logger },
  settings: HollowSettings,
  signal: AbortSignal,
): Promise<void> {
  const { kubeconfig, context, ...options } = settings;
  const access = readAccess(kubeconfig, context);
  using connection = openHttpTransport(access);
  const transport = logRequests(connection, deps, settings);
  const client = openClient({ transport, clock: deps.clock, userAgent: 'hollow-node' });
  // A cluster that cannot be reached, or that lets nobody in, is said at once.
  const { gitVersion } = await client.getPath<{ readonly gitVersion: string }>('/version', {
    signal,
  });
  const { server } = access;
  deps.log.info('joining', { server, version: gitVersion, nodes: options.count });
  try {
    await runHollowNodes({ ...deps, client }, { ...options, signal });
  } catch (error) {
    if (error !== signal.reason) throw error;
  }
}
