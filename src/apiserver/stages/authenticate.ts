/**
 * Who asks? A client certificate or a bound identity (both come with the connection), else a
 * service-account token, else nobody in particular. A token that does not hold is 401, never
 * "anonymous". Next: authorize.
 */
import { unauthorized } from '#api/errors.ts';
import type { Identity } from '#kit/transport.ts';
import type { Parts } from '../parts.ts';
import type { Arrival } from '../request.ts';

export const anonymous: Identity = {
  name: 'system:anonymous',
  groups: ['system:unauthenticated'],
};

const authenticatedGroup = 'system:authenticated';

export function authenticate(parts: Pick<Parts, 'tokens'>, arrival: Arrival): Identity {
  if (arrival.peer !== undefined) return arrival.peer;
  const header = arrival.request.headers['authorization'];
  if (header === undefined) return anonymous;
  const token = /^bearer +(\S+) *$/i.exec(header)?.[1];
  const identity = token === undefined ? undefined : parts.tokens.authenticate(token);
  if (identity === undefined) throw unauthorized();
  return withAuthenticatedGroup(identity);
}

export function withAuthenticatedGroup(identity: Identity): Identity {
  if (identity.groups.includes(authenticatedGroup)) return identity;
  return { ...identity, groups: [...identity.groups, authenticatedGroup] };
}
