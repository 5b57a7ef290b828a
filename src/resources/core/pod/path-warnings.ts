/**
 * Paths in one volume that lie in each other's way: which of the two files is there in the end is
 * not said anywhere. Asked by `warnings.ts`.
 */
import type { KeyToPath, Volume, VolumeProjection } from '#resources/types/core-v1.ts';

export const limits = {
  /** Overlaps of a pod that are told; more than a client gets to see. */
  overlaps: 100,
} as const;

interface Path {
  readonly path: string;
  /** Of projected volumes. */
  readonly source: string;
}

export function pathWarnings(volumes: readonly Volume[]): string[] {
  let left: number = limits.overlaps;
  return volumes.flatMap(({ name, configMap, secret, downwardAPI, projected }) => {
    const own: readonly (readonly [string, readonly Path[]])[] = [
      [`ConfigMap ${quoted(configMap?.name)}`, pathsOf(configMap?.items)],
      [`Secret ${quoted(secret?.secretName)}`, pathsOf(secret?.items)],
      ['DownwardAPI', pathsOf(downwardAPI?.items)],
    ];
    const tell = (kind: string, paths: readonly Path[]): string[] => {
      const found = overlaps(paths, left);
      left -= found.length;
      return found.map((text) => `volume "${name}" (${kind}): overlapping paths: ${text}`);
    };
    const sources = projected?.sources ?? [];
    const empty = sources.filter((source) => Object.keys(source).length === 0);
    return [
      ...own.flatMap(([kind, paths]) => tell(kind, paths)),
      ...empty.map(() => `volume "${name}" (Projected) has no sources provided`),
      ...tell('Projected', sources.flatMap(projectedPaths)),
    ];
  });
}

function projectedPaths(source: VolumeProjection): readonly Path[] {
  const { configMap, secret, downwardAPI, serviceAccountToken, clusterTrustBundle } = source;
  if (configMap?.items !== undefined) {
    return pathsOf(configMap.items, `ConfigMap ${quoted(configMap.name)}`);
  }
  if (secret?.items !== undefined) return pathsOf(secret.items, `Secret ${quoted(secret.name)}`);
  if (downwardAPI?.items !== undefined) return pathsOf(downwardAPI.items, 'DownwardAPI');
  if (serviceAccountToken !== undefined) {
    return pathsOf([serviceAccountToken], 'ServiceAccountToken');
  }
  if (clusterTrustBundle === undefined) return [];
  const { name, signerName } = clusterTrustBundle;
  return pathsOf([clusterTrustBundle], `ClusterTrustBundle ${quoted(name ?? signerName)}`);
}

function pathsOf(
  items: readonly Pick<KeyToPath, 'path'>[] | undefined,
  source = '',
): readonly Path[] {
  return (items ?? []).map(({ path }) => ({ path: path.replace(/\/+$/, ''), source }));
}

/** In order with a slash after each, what lies below a path comes right after it. */
function overlaps(paths: readonly Path[], max: number): string[] {
  const placed = paths
    .map(({ path, source }, index) => ({ path, source, index, key: `${path}/` }))
    .filter(({ path }) => path !== '')
    .sort((a, b) => (a.key === b.key ? a.index - b.index : a.key < b.key ? -1 : 1));
  type Placed = (typeof placed)[number];
  const around: Placed[] = [];
  const pairs: { readonly one: Placed; readonly before: Placed }[] = [];
  for (const next of placed) {
    while (!next.key.startsWith(around.at(-1)?.key ?? '')) around.pop();
    for (const other of around) {
      if (pairs.length === max) break;
      const isLater = next.index > other.index;
      pairs.push(isLater ? { one: next, before: other } : { one: other, before: next });
    }
    around.push(next);
  }
  pairs.sort((a, b) => a.one.index - b.one.index || a.before.index - b.before.index);
  return pairs.map(({ one, before }) => `${shown(one)} with ${shown(before)}`);
}

function shown({ path, source }: Path): string {
  return source === '' ? quoted(path) : `${quoted(path)} (${source})`;
}

function quoted(text: string | undefined): string {
  return JSON.stringify(text ?? '');
}
