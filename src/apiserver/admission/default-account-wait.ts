/**
 * A pod that comes right after its namespace waits a little for the namespace's default service
 * account, which a controller makes; the alternative is a refusal that a second later would be none
 * (`kubectl create namespace x && kubectl apply -n x -f pod.yaml`). Upstream waits as long.
 */
import type { Served } from '#api/catalog.ts';
import type { KubeObject } from '#api/object.ts';
import type { Parts } from '../parts.ts';
import { mentions, registryRoot } from '../registry.ts';
import type { Arrival } from '../request.ts';
import { deletionMark } from './namespace-lifecycle.ts';
import { lacksDefaultAccount } from './service-account.ts';

const attemptsMax = 9;
const intervalMs = { least: 100, most: 200 } as const;

export interface Waiting {
  readonly served: Served;
  readonly object: KubeObject;
  readonly namespace: string;
  readonly arrival: Pick<Arrival, 'signal'>;
}

/** Undefined where there is nothing to wait for. */
export function awaitDefaultAccount(
  parts: Pick<Parts, 'store' | 'clock' | 'random'>,
  { served, object, namespace, arrival }: Waiting,
): Promise<void> | undefined {
  if (served.resource.storagePrefix !== 'pods') return undefined;
  const waits = (): boolean =>
    lacksDefaultAccount(parts, object, namespace) && isOpen(parts, namespace);
  return waits() ? poll(parts, waits, arrival.signal) : undefined;
}

async function poll(
  { clock, random }: Pick<Parts, 'clock' | 'random'>,
  waits: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  const delayMs = intervalMs.least + random.integer(intervalMs.most - intervalMs.least);
  for (let attempt = 0; attempt < attemptsMax && waits(); attempt++) {
    await clock.sleep(delayMs, { signal });
  }
}

/** Nobody makes accounts in a namespace that is not there, or going away. */
function isOpen({ store }: Pick<Parts, 'store'>, namespace: string): boolean {
  const entry = store.get(`${registryRoot}namespaces/${namespace}`);
  return entry !== undefined && !mentions(entry.value, deletionMark);
}
