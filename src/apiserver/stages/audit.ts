/**
 * Gives every request an id that its answer names, so that a log line, a client's error and an
 * audit record can be matched. A client may bring its own. The audit log itself hangs here.
 */
import type { PlainRequest } from '#kit/transport.ts';
import type { Parts } from '../parts.ts';

const idLengthMax = 64;

export function auditHeaders(
  { random }: Pick<Parts, 'random'>,
  request: PlainRequest,
): Record<string, string> {
  const given = request.headers['audit-id'];
  const known = given !== undefined && given !== '' && given.length <= idLengthMax;
  return { 'audit-id': known ? given : random.uuid(), 'cache-control': 'no-cache, private' };
}
