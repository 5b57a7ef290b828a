/**
 * Components that only look: one follows watches that nothing disturbs, event for event, and one
 * keeps informers over a faulty connection, whose copies have to equal the truth in the end.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { type Client, type Informer, openInformers } from '#client';
import { Scope } from '#kit/scope.ts';
import { configMaps, deployments, pods } from '#resources/kinds.ts';
import type { WorldEvent } from './trace.ts';
import type { Truth } from './truth.ts';
import type { Intruder, IntruderDeps } from './world.ts';

const watched: readonly KindOf<KubeObject>[] = [pods, configMaps];
const observed: readonly KindOf<KubeObject>[] = [pods, configMaps, deployments];

/** Lists, then watches from there, and says what it is told; begins anew where a watch ends. */
export function follower(observe: (event: WorldEvent) => void): Intruder {
  return async (deps, signal) => {
    const scope = new Scope(signal);
    for (const kind of watched) {
      scope.spawn(async (inner) => {
        for (;;) {
          try {
            await follow(deps.client, kind, { observe, signal: inner });
          } catch {
            inner.throwIfAborted();
          }
          await deps.clock.sleep(1_000, { signal: inner });
        }
      });
    }
    await scope.join();
  };
}

async function follow(
  client: Client,
  kind: KindOf<KubeObject>,
  {
    observe,
    signal,
  }: { readonly observe: (event: WorldEvent) => void; readonly signal: AbortSignal },
): Promise<void> {
  const { items, resourceVersion } = await client.list(kind, { signal });
  const tell = (did: string, revision: string | undefined): void =>
    observe({ what: 'watched', kind: kind.kind, did, revision: Number(revision) });
  observe({
    what: 'watched',
    kind: kind.kind,
    did: `LISTED ${items.length}`,
    revision: Number(resourceVersion),
  });
  for await (const event of client.watch(kind, { resourceVersion, bookmarks: true, signal })) {
    if (event.type === 'BOOKMARK') tell(event.type, event.resourceVersion);
    else tell(event.type, event.object.metadata.resourceVersion);
  }
}

/** Informers of a component, and what they have got wrong at a moment when nothing moves. */
export class Observer {
  readonly #truth: Truth;
  #copies: readonly { readonly kind: string; readonly informer: Informer<KubeObject> }[] = [];

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  readonly run = async (deps: IntruderDeps, signal: AbortSignal): Promise<void> => {
    const informers = openInformers(deps);
    this.#copies = observed.map((kind) => ({ kind: kind.kind, informer: informers.of(kind) }));
    await informers.run(signal);
  };

  missing(): readonly string[] {
    const problems: string[] = [];
    for (const { kind, informer } of this.#copies) {
      const seen = new Map<string, string>();
      for (const { metadata } of informer.list()) {
        seen.set(metadata.uid ?? '', metadata.resourceVersion ?? '');
      }
      for (const { metadata } of this.#truth.of<KubeObject>(kind)) {
        const version = seen.get(metadata.uid ?? '');
        seen.delete(metadata.uid ?? '');
        if (version === undefined) problems.push(`an informer lacks ${kind} ${metadata.name}`);
      }
      for (const uid of seen.keys()) problems.push(`an informer has ${kind} ${uid}, which is gone`);
    }
    return problems;
  }
}
