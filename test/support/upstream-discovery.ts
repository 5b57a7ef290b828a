/**
 * What upstream's API server v1.36 says in aggregated discovery, of its stable group versions, as
 * facts to compare ours with: by group and version, one entry a resource.
 */
import { readFileSync } from 'node:fs';

export interface UpstreamResource {
  readonly resource: string;
  readonly kind: string;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly singularResource: string;
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly {
    readonly subresource: string;
    readonly kind: string;
    readonly verbs: readonly string[];
  }[];
}

export function upstreamDiscovery(): ReadonlyMap<string, readonly UpstreamResource[]> {
  const text = readFileSync(new URL('./upstream-discovery-v1.36.json', import.meta.url), 'utf8');
  // Our own file, in the shape above.
  const groups = JSON.parse(text) as Record<string, readonly UpstreamResource[]>;
  return new Map(Object.entries(groups));
}
