/**
 * What the first writes need, loaded before they come.
 *
 * A kind's descriptor and the definitions of its fields are read when it is first written, which
 * keeps the start short. The first burst of writes would wait for that all at once: for pods it is
 * some forty files. So soon after the server listens, the kinds that every cluster writes are read
 * one after another, while nobody else wants anything. Called by `first-burst.ts`.
 */
import type { GroupVersion } from '#api/object.ts';
import type { Definitions, Schema } from '#api/schema.ts';
import { type QuietDeps, untilQuiet } from '#kit/quiet.ts';
import type { Parts } from './parts.ts';

/** How long the start has the thread for itself. */
const afterMs = 1000;
/** Before each kind, which is some milliseconds of work. A thread that stays busy is left alone. */
const quiet = { forMs: 20, limitMs: 60_000 } as const;

const core: GroupVersion = { group: '', version: 'v1' };
const firstKinds: readonly (GroupVersion & { readonly plural: string })[] = [
  { ...core, plural: 'configmaps' },
  { ...core, plural: 'secrets' },
  { ...core, plural: 'pods' },
  { ...core, plural: 'events' },
  { ...core, plural: 'services' },
  { group: 'apps', version: 'v1', plural: 'deployments' },
  { group: 'apps', version: 'v1', plural: 'replicasets' },
];

export interface WarmUpDeps extends QuietDeps, Pick<Parts, 'catalog'> {}

export async function warmUp(
  { catalog, clock, utilization }: WarmUpDeps,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  await clock.sleep(afterMs, { signal });
  const read = new Set<string>();
  for (const kind of firstKinds) {
    const served = catalog.findPlural(kind, kind.plural);
    if (served === undefined) continue;
    if (!(await untilQuiet({ clock, utilization }, { ...quiet, signal }))) return;
    // Whatever is asked of a descriptor loads all of it.
    void served.resource.columns;
    readDefinitions(served.view.schema, catalog, read);
  }
}

/** Looks at everything that a schema refers to; what was looked at stays read. */
function readDefinitions(schema: Schema, definitions: Definitions, read: Set<string>): void {
  const { ref, fields = {}, values, items } = schema;
  if (ref !== undefined && !read.has(ref)) {
    read.add(ref);
    const target = definitions.get(ref);
    if (target !== undefined) readDefinitions(target, definitions, read);
  }
  for (const field of Object.values(fields)) readDefinitions(field, definitions, read);
  if (values !== undefined) readDefinitions(values, definitions, read);
  if (items !== undefined) readDefinitions(items, definitions, read);
}
