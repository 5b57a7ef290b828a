/**
 * GET of one object: the newest state, from memory, synchronously unless the store must first catch
 * up with others. The stored bytes go out as they are (`registry.ts`, `stages/respond.ts`).
 */
import { notFound, unexplained } from '#api/errors.ts';
import type { Parts } from '../parts.ts';
import { keyOf } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { groupResource } from './write.ts';

export async function get(parts: Parts, call: Call): Promise<Answer> {
  const { served, info } = call;
  checkRevision(info.query.get('resourceVersion') ?? '');
  const waiting = parts.store.fresh();
  if (waiting !== undefined) await waiting;
  const entry = parts.store.get(keyOf(served.resource, info.namespace, info.name));
  if (entry === undefined) throw notFound(groupResource(served), info.name);
  return { type: 'entry', status: 200, served, entry };
}

/** The newest state is as new as any that can be asked for; what is no revision is refused. */
export function checkRevision(text: string): void {
  if (/^\d*$/.test(text)) return;
  const given = JSON.stringify(text);
  const why = `strconv.ParseUint: parsing ${given}: invalid syntax`;
  throw unexplained(`resourceVersion: Invalid value: ${given}: ${why}`);
}
