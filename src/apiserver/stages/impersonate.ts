/**
 * `kubectl --as`: whoever may impersonate is from here on the user that the headers name.
 *
 * Each name that is put on (user, uid, groups) is a permission of its own. Headers without the
 * permission are refused, never ignored. Next: authorize, with the identity put on.
 */
import { badRequest } from '#api/errors.ts';
import type { Identity, PlainRequest } from '#kit/transport.ts';
import { decide } from '../auth/authorizer.ts';
import type { Parts } from '../parts.ts';
import { withAuthenticatedGroup } from './authenticate.ts';
import { forbiddenFor } from './authorize.ts';

const prefix = 'impersonate-';

export function impersonate(
  parts: Pick<Parts, 'nodeGraph' | 'store'>,
  identity: Identity,
  { headers }: PlainRequest,
): Identity {
  const name = headers['impersonate-user'];
  if (name === undefined) {
    if (!hasPrefixed(headers)) return identity;
    throw badRequest('requested impersonation of groups or extra without impersonating a user');
  }
  const groups = (headers['impersonate-group'] ?? '')
    .split(',')
    .map((group) => group.trim())
    .filter((group) => group !== '');
  check(parts, identity, 'users', name);
  for (const group of groups) check(parts, identity, 'groups', group);
  const uid = headers['impersonate-uid'];
  if (uid !== undefined) check(parts, identity, 'uids', uid);
  if (Object.keys(headers).some((header) => header.startsWith('impersonate-extra-'))) {
    throw badRequest('impersonation of extra fields is not supported');
  }
  return withAuthenticatedGroup({ name, groups, ...(uid === undefined ? {} : { uid }) });
}

function hasPrefixed(headers: PlainRequest['headers']): boolean {
  for (const header in headers) if (header.startsWith(prefix)) return true;
  return false;
}

function check(
  parts: Pick<Parts, 'nodeGraph' | 'store'>,
  identity: Identity,
  resource: 'users' | 'groups' | 'uids',
  name: string,
): void {
  const attributes = {
    type: 'resource',
    verb: 'impersonate',
    group: '',
    resource,
    subresource: '',
    namespace: '',
    name,
  } as const;
  if (!decide(parts, identity, attributes).allowed) throw forbiddenFor(identity, attributes);
}
