/**
 * What is counted of EndpointSlices: those written, endpoints that came and went, and how far the
 * slices are from being full. The controller of Services and the one that mirrors count alike,
 * under names of their own.
 */
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import type { FigureName, Figures } from '../figures.ts';
import { isSameValue } from '../same-value.ts';
import type { Action } from './plan.ts';

type Prefix = 'endpoint_slice_controller' | 'endpoint_slice_mirroring_controller';

/** What was written of one Service, or of one object of Endpoints. */
export function noteWrites(
  figures: Figures,
  prefix: Prefix,
  {
    before,
    actions,
  }: { readonly before: readonly EndpointSlice[]; readonly actions: readonly Action[] },
): void {
  const byName = new Map(before.map((slice) => [slice.metadata.name, slice]));
  let added = 0;
  let removed = 0;
  let updated = 0;
  for (const action of actions) {
    figures.count(`${prefix}_changes`, [action.do]);
    const old = addressesOf(byName.get(action.slice.metadata.name));
    const now = action.do === 'delete' ? new Set<string>() : addressesOf(action.slice);
    added += now.difference(old).size;
    removed += old.difference(now).size;
    if (action.do === 'update')
      updated += changed(byName.get(action.slice.metadata.name), action.slice);
  }
  figures.observe(`${prefix}_endpoints_added_per_sync`, [], added);
  figures.observe(`${prefix}_endpoints_removed_per_sync`, [], removed);
  if (prefix === 'endpoint_slice_mirroring_controller') {
    figures.observe(`${prefix}_endpoints_updated_per_sync`, [], updated);
  }
}

/** Endpoints that stay and are not what they were. */
function changed(before: EndpointSlice | undefined, after: EndpointSlice): number {
  const old = new Map(before?.endpoints?.map((one) => [one.addresses[0], one]));
  const stayed = (after.endpoints ?? []).filter(({ addresses }) => old.has(addresses[0]));
  return stayed.filter((one) => !isSameValue(one, old.get(one.addresses[0]))).length;
}

function addressesOf(slice: EndpointSlice | undefined): Set<string> {
  return new Set((slice?.endpoints ?? []).map(({ addresses }) => addresses[0] ?? ''));
}

/** Gauges over all slices that one controller keeps. */
export function tellSlices(
  figures: Figures,
  prefix: Prefix,
  options: { readonly perSlice: number; readonly slices: () => Iterable<EndpointSlice> },
): void {
  const { perSlice, slices } = options;
  const tell = (name: FigureName, weigh: (all: readonly EndpointSlice[]) => number): void =>
    figures.gauge(name, () => [[[], weigh([...slices()])]]);
  const endpoints = (all: readonly EndpointSlice[]): number =>
    all.reduce((sum, slice) => sum + (slice.endpoints?.length ?? 0), 0);
  tell(`${prefix}_num_endpoint_slices`, (all) => all.length);
  tell(`${prefix}_endpoints_desired`, endpoints);
  tell(`${prefix}_desired_endpoint_slices`, (all) => {
    const groups = Map.groupBy(all, ({ metadata, addressType, ports }) =>
      JSON.stringify([
        ...[metadata.namespace, metadata.labels?.['kubernetes.io/service-name']],
        ...[addressType, ports],
      ]),
    );
    let wanted = 0;
    for (const group of groups.values()) {
      // One without endpoints still says that there are none.
      wanted += Math.max(1, Math.ceil(endpoints(group) / perSlice));
    }
    return wanted;
  });
}
