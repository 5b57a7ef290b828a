/**
 * What routing, discovery and lists must know of a kind, without its descriptor: names, versions,
 * scope, verbs. One line a kind in `openapi/kinds.json`, derived from the descriptors by
 * `npm run generate -- kinds`; a test says when it is stale.
 *
 * `resources.ts` reads it when a server opens; `deferred-resource.ts` shows it as a `Resource`.
 */
import { readFileSync } from 'node:fs';
import type { Resource, ResourceView } from '#api/resource.ts';

export interface KindFacts
  extends Pick<
    Resource,
    | 'kind'
    | 'plural'
    | 'singular'
    | 'shortNames'
    | 'categories'
    | 'namespaced'
    | 'storagePrefix'
    | 'hasStatus'
    | 'verbs'
  > {
  /** Whether there is a `scale` sub-resource. */
  readonly scales: boolean;
  readonly views: readonly ViewFacts[];
}

export interface ViewFacts
  extends Pick<ResourceView, 'group' | 'version' | 'definition' | 'legacy'> {
  /** Whether objects of this version have another shape than the stored ones. */
  readonly converts: boolean;
}

function factsOf(resource: Resource): KindFacts {
  const { kind, plural, singular, shortNames, categories, namespaced, storagePrefix } = resource;
  const { hasStatus, verbs } = resource;
  const names = { kind, plural, singular, shortNames, categories, namespaced, storagePrefix };
  return {
    ...names,
    hasStatus,
    scales: resource.scale !== undefined,
    ...(verbs === undefined ? {} : { verbs }),
    views: resource.views.map(({ group, version, definition, legacy, toHub, fromHub }) => ({
      group,
      version,
      definition,
      ...(legacy === undefined ? {} : { legacy }),
      converts: toHub !== undefined || fromHub !== undefined,
    })),
  };
}

/** The text of the file: a line a kind, so that a change of one shows as one. */
export function formatKindFacts(resources: readonly Resource[]): string {
  const lines = resources.map((resource) => {
    const facts = factsOf(resource);
    return `  ${JSON.stringify(facts.kind)}: ${JSON.stringify(facts)}`;
  });
  return `{\n${lines.join(',\n')}\n}\n`;
}

export function readKindFacts(): Readonly<Record<string, KindFacts>> {
  const text = readFileSync(new URL('./openapi/kinds.json', import.meta.url), 'utf8');
  // Our own generated file, compared with the descriptors by resources.test.ts.
  return JSON.parse(text) as Readonly<Record<string, KindFacts>>;
}
