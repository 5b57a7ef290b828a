/**
 * What the first writes need, loaded and rehearsed before they come.
 *
 * A kind's descriptor and the definitions of its fields are read when it is first written, which
 * keeps the start short. The first burst of writes would wait for that all at once: for pods it is
 * some forty files; and it would run code that Node has not compiled yet, several times as slowly.
 * So soon after the server listens, the kinds that every cluster writes are read one after another,
 * and some are written with `dryRun=All`, which stores nothing, until the way of a write is warm.
 * Called by `apiserver.ts`.
 */
import type { GroupVersion } from '#api/object.ts';
import type { Definitions, Schema } from '#api/schema.ts';
import type { Identity, PlainRequest } from '#kit/transport.ts';
import type { Parts } from './parts.ts';
import type { ServerResponse } from './request.ts';

/** How long the start has the thread for itself, and others between two kinds. */
const afterMs = 1000;
const pauseMs = 50;
/** Rehearsals of each kind, and the pause after one of each, which are a millisecond or two. */
const rehearsalsEach = 100;
const restMs = 4;

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

/** Who rehearses. */
export const rehearser: Identity = { name: 'system:apiserver', groups: ['system:masters'] };

const rehearsed: readonly { readonly plural: string; readonly object: object }[] = [
  { plural: 'secrets', object: { kind: 'Secret', stringData: { key: 'value' } } },
  { plural: 'configmaps', object: { kind: 'ConfigMap', data: { key: 'value' } } },
  {
    plural: 'pods',
    object: {
      kind: 'Pod',
      spec: {
        containers: [
          {
            name: 'main',
            image: 'example:1',
            env: [{ name: 'A', value: '1' }],
            ports: [{ containerPort: 80, name: 'http' }],
            resources: { requests: { cpu: '10m', memory: '16Mi' } },
          },
        ],
      },
    },
  },
];

/** Mirrors need no service account, which a controller has yet to make. */
const metadata = {
  name: 'rehearsal',
  labels: { app: 'rehearsal' },
  annotations: { 'kubernetes.io/config.mirror': 'rehearsal' },
};

export interface WarmUpParts extends Pick<Parts, 'catalog' | 'clock'> {
  /** Sends a request on its way through the lifecycle, uncounted. */
  readonly rehearse: (request: PlainRequest) => Promise<ServerResponse>;
}

export async function warmUp(
  { catalog, clock, rehearse }: WarmUpParts,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  await clock.sleep(afterMs, { signal });
  const read = new Set<string>();
  for (const kind of firstKinds) {
    const served = catalog.findPlural(kind, kind.plural);
    if (served === undefined) continue;
    // Whatever is asked of a descriptor loads all of it.
    void served.resource.columns;
    readDefinitions(served.view.schema, catalog, read);
    await clock.sleep(pauseMs, { signal });
  }
  for (let round = 0; round < rehearsalsEach; round++) {
    for (const { plural, object } of rehearsed) await rehearse(rehearsal(plural, object));
    await clock.sleep(restMs, { signal });
  }
}

function rehearsal(plural: string, object: object): PlainRequest {
  return {
    method: 'POST',
    path: `/api/v1/namespaces/default/${plural}?dryRun=All`,
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: Buffer.from(JSON.stringify({ apiVersion: 'v1', metadata, ...object })),
  };
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
