/**
 * Where a pod is, as the API server knows it, when the informers' word is not good enough: they may
 * be behind, and a pod that they show without a node may run on one.
 *
 * Asked before anything is taken from a pod that its node would need (`device-writer.ts`), and when
 * a binding was refused because of what became of the pod meanwhile (`binding.ts`). A node is never
 * taken away from a pod again, so only "without a node" can be old news.
 */
import { isReason } from '#api/errors.ts';
import type { Client } from '#client';
import { pods } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';

export type Whereabouts =
  /** Deleted, or somebody else has its name by now. */
  | { readonly is: 'gone' }
  | { readonly is: 'unbound'; readonly pod: Pod }
  | { readonly is: 'bound'; readonly pod: Pod; readonly nodeName: string };

export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export async function whereabouts(
  client: Client,
  { namespace, name, uid }: PodIdentity,
  { signal }: { readonly signal: AbortSignal },
): Promise<Whereabouts> {
  try {
    const pod = await client.get(pods, { namespace, name }, { signal });
    if (pod.metadata.uid !== uid) return { is: 'gone' };
    const { nodeName } = pod.spec ?? {};
    return nodeName ? { is: 'bound', pod, nodeName } : { is: 'unbound', pod };
  } catch (error) {
    if (isReason(error, 'NotFound')) return { is: 'gone' };
    throw error;
  }
}
