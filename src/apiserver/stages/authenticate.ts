/**
 * Who asks? A client certificate or a bound identity (both come with the connection), else a
 * service-account or bootstrap token, else nobody in particular. A token that does not hold is 401,
 * never "anonymous"; nor is who shows nothing but a certificate of another authority. Next:
 * authorize.
 */
import { unauthorized } from '#api/errors.ts';
import type { Identity } from '#kit/transport.ts';
import { authenticateBootstrap } from '../auth/bootstrap-tokens.ts';
import type { Parts } from '../parts.ts';
import type { Arrival } from '../request.ts';

export const anonymous: Identity = {
  name: 'system:anonymous',
  groups: ['system:unauthenticated'],
};

const authenticatedGroup = 'system:authenticated';

type AuthenticateParts = Pick<Parts, 'tokens' | 'store' | 'clock' | 'options'>;

export function authenticate(
  parts: AuthenticateParts & Pick<Parts, 'metrics'>,
  arrival: Arrival,
): Identity {
  const { clock, metrics } = parts;
  const startedMs = clock.monotonic();
  try {
    const identity = identify(parts, arrival);
    metrics.countAuthentication('success', identity.name, clock.monotonic() - startedMs);
    return identity;
  } catch (error) {
    metrics.countAuthentication('failure', '', clock.monotonic() - startedMs);
    throw error;
  }
}

function identify(parts: AuthenticateParts, arrival: Arrival): Identity {
  const { peer } = arrival;
  if (peer !== undefined && peer !== 'stranger') return peer;
  const header = arrival.request.headers['authorization'];
  const nobody = (): Identity => {
    if (peer === 'stranger' || parts.options.anonymous === false) throw unauthorized();
    return anonymous;
  };
  if (header === undefined) return nobody();
  const [scheme = '', token = ''] = header.trim().split(' ', 2);
  // Of other schemes, such as names with passwords, nobody here knows anything.
  if (scheme.toLowerCase() !== 'bearer' || token === '') return nobody();
  const identity = bearerOf(parts, token);
  if (identity === undefined) throw unauthorized();
  return withAuthenticatedGroup(identity);
}

function bearerOf(parts: AuthenticateParts, token: string): Identity | undefined {
  const known = parts.options.staticTokens?.get(token);
  if (known !== undefined) return known;
  const found = parts.tokens.authenticate(token);
  return found.ok ? found.identity : authenticateBootstrap(parts, token);
}

export function withAuthenticatedGroup(identity: Identity): Identity {
  if (identity.groups.includes(authenticatedGroup)) return identity;
  return { ...identity, groups: [...identity.groups, authenticatedGroup] };
}
