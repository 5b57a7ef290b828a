/**
 * ServiceCIDRs: marked ready, and kept while Services still have addresses of them.
 *
 * A finalizer holds each. One that is being deleted goes once every address inside it lies in
 * another as well; until then its condition says what it waits for.
 */

import { formatTime } from '#kit/clock.ts';
import { networkHas } from '#kit/ip-network.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { ipAddresses as addressKind, serviceCIDRs as rangeKind } from '#resources/kinds.ts';
import type { Condition } from '#resources/types/meta-v1.ts';
import type { IPAddress, ServiceCIDR } from '#resources/types/networking-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';

const finalizer = 'networking.k8s.io/service-cidr-finalizer';

/** Addresses that only this range contains. */
function orphansOf(
  range: ServiceCIDR,
  others: readonly ServiceCIDR[],
  addresses: Iterable<IPAddress>,
): readonly string[] {
  const inside = ({ spec }: ServiceCIDR, address: string): boolean =>
    spec?.cidrs?.some((cidr) => networkHas(cidr, address)) ?? false;
  const orphans: string[] = [];
  for (const { metadata } of addresses) {
    const { name = '' } = metadata;
    if (!inside(range, name)) continue;
    const isKept = others.some(
      (other) => other.metadata.deletionTimestamp === undefined && inside(other, name),
    );
    if (!isKept) orphans.push(name);
  }
  return orphans;
}

export function openServiceCIDRController(deps: ControllerDeps): Controller {
  const { client, clock, informers } = deps;
  const queue = new WorkQueue(deps);
  const ranges = informers.of(rangeKind);
  const addresses = informers.of(addressKind, { metadataOnly: true });
  const wake = ({ metadata }: ServiceCIDR): void => queue.add(metadata.name ?? '');
  const wakeEnding = (): void => {
    for (const range of ranges.list()) {
      if (range.metadata.deletionTimestamp !== undefined) wake(range);
    }
  };
  ranges.addHandler({
    onAdd: (range) => {
      wake(range);
      wakeEnding();
    },
    onUpdate: wake,
  });
  addresses.addHandler({ onDelete: wakeEnding });
  const setReady = async (
    range: ServiceCIDR,
    status: 'True' | 'False',
    text: { readonly reason: string; readonly message: string },
    signal: AbortSignal,
  ): Promise<void> => {
    const before = range.status?.conditions?.find(({ type }) => type === 'Ready');
    if (before?.status === status && before.reason === text.reason) return;
    const lastTransitionTime = formatTime(clock.now());
    const ready: Condition = { type: 'Ready', status, ...text, lastTransitionTime };
    const others = range.status?.conditions?.filter(({ type }) => type !== 'Ready') ?? [];
    const next = { ...range, status: { ...range.status, conditions: [...others, ready] } };
    const options = { subresource: 'status', signal };
    await client.update(rangeKind, next, options).catch(ignoreNotFound);
  };
  return {
    name: 'service-cidr-controller',
    queue,
    workers: 1,
    sources: [ranges, addresses],
    reconcile: async (name, { signal }) => {
      const range = ranges.get(name);
      if (range === undefined) return;
      const { finalizers = [], deletionTimestamp } = range.metadata;
      const isHeld = finalizers.includes(finalizer);
      if (deletionTimestamp === undefined) {
        if (!isHeld) {
          const metadata = { ...range.metadata, finalizers: [...finalizers, finalizer] };
          await client.update(rangeKind, { ...range, metadata }, { signal }).catch(ignoreNotFound);
          return;
        }
        const message = 'Kubernetes Service CIDR is ready';
        await setReady(range, 'True', { reason: '', message }, signal);
        return;
      }
      if (!isHeld) return;
      const others = [...ranges.list()].filter((other) => other !== range);
      if (orphansOf(range, others, addresses.list()).length > 0) {
        const message =
          'There are still IPAddresses referencing the ServiceCIDR, ' +
          'please remove them or create a new ServiceCIDR';
        await setReady(range, 'False', { reason: 'Terminating', message }, signal);
        return;
      }
      const kept = finalizers.filter((one) => one !== finalizer);
      const metadata = { ...range.metadata, finalizers: kept };
      await client.update(rangeKind, { ...range, metadata }, { signal }).catch(ignoreNotFound);
    },
  };
}
