/**
 * Paths in one volume that lie in each other's way: which of the two files is there in the end is
 * not said anywhere. Asked by `warnings.ts`.
 */
import type { KeyToPath, Volume, VolumeProjection } from '#resources/types/core-v1.ts';

interface Path {
  readonly path: string;
  /** Of projected volumes. */
  readonly source: string;
}

export function pathWarnings(volumes: readonly Volume[]): string[] {
  return volumes.flatMap(({ name, configMap, secret, downwardAPI, projected }) => {
    const own: readonly (readonly [string, readonly Path[]])[] = [
      [`ConfigMap ${quoted(configMap?.name)}`, pathsOf(configMap?.items)],
      [`Secret ${quoted(secret?.secretName)}`, pathsOf(secret?.items)],
      ['DownwardAPI', pathsOf(downwardAPI?.items)],
    ];
    const tell = (kind: string, paths: readonly Path[]): string[] =>
      overlaps(paths).map((text) => `volume "${name}" (${kind}): overlapping paths: ${text}`);
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

function overlaps(paths: readonly Path[]): string[] {
  return paths.flatMap((one, index) =>
    paths
      .slice(0, index)
      .filter((before) => isInTheWay(before.path, one.path))
      .map((before) => `${shown(one)} with ${shown(before)}`),
  );
}

function isInTheWay(a: string, b: string): boolean {
  if (a === '' || b === '') return false;
  return `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);
}

function shown({ path, source }: Path): string {
  return source === '' ? quoted(path) : `${quoted(path)} (${source})`;
}

function quoted(text: string | undefined): string {
  return JSON.stringify(text ?? '');
}
