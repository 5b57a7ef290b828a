/**
 * `kubectl --as`: whoever may impersonate is from here on the user that the headers name.
 *
 * Each name that is put on (user or service account, uid, groups, each value of what else is known)
 * is a permission of its own. Headers without the permission are refused, never ignored. A service
 * account has its groups without their being named. Next: authorize, with the identity put on.
 */
import { badRequest } from '#api/errors.ts';
import { labelProblems, subdomainProblems } from '#api/names.ts';
import type { Identity, PlainRequest } from '#kit/transport.ts';
import { type Attributes, decide } from '../auth/authorizer.ts';
import type { Parts } from '../parts.ts';
import { forbiddenFor } from './authorize.ts';

interface Asked {
  readonly group?: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name: string;
}

type Headers = PlainRequest['headers'];

const prefix = 'impersonate-';
const extraPrefix = 'impersonate-extra-';
const group = 'authentication.k8s.io';
const anonymous = 'system:anonymous';
const everybody = { known: 'system:authenticated', unknown: 'system:unauthenticated' } as const;

export function impersonate(
  parts: Pick<Parts, 'nodeGraph' | 'store'>,
  identity: Identity,
  { headers }: PlainRequest,
): Identity {
  const name = headers['impersonate-user'] ?? '';
  if (name === '') {
    if (!hasPrefixed(headers)) return identity;
    throw badRequest('requested impersonation of groups or extra without impersonating a user');
  }
  const check = (asked: Asked): void => {
    const attributes: Attributes = {
      ...{ type: 'resource' as const, verb: 'impersonate', group: '', resource: '' },
      ...{ subresource: '', namespace: '', ...asked },
    };
    if (!decide(parts, identity, attributes).allowed) throw forbiddenFor(identity, attributes);
  };
  const account = accountOf(name);
  check(
    account === undefined
      ? { resource: 'users', name }
      : { resource: 'serviceaccounts', ...account },
  );
  const given = valuesOf(headers['impersonate-group']);
  for (const one of given) check({ resource: 'groups', name: one });
  const extra = extraOf(headers);
  for (const [key, values] of Object.entries(extra)) {
    for (const value of values) {
      check({ group, resource: 'userextras', subresource: key, name: value });
    }
  }
  const uid = headers['impersonate-uid'] ?? '';
  if (uid !== '') check({ group, resource: 'uids', name: uid });
  const own =
    account === undefined || given.length > 0
      ? given
      : ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`];
  return {
    name,
    groups: withEverybody(name, own),
    ...(uid === '' ? {} : { uid }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

function hasPrefixed(headers: Headers): boolean {
  for (const header in headers) if (header.startsWith(prefix)) return true;
  return false;
}

/** Undefined: it is no service account's name. */
function accountOf(
  user: string,
): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace, name] = /^system:serviceaccount:([^:]*):([^:]*)$/.exec(user) ?? [];
  if (namespace === undefined || name === undefined) return undefined;
  const isSound = labelProblems(namespace).length === 0 && subdomainProblems(name).length === 0;
  return isSound ? { namespace, name } : undefined;
}

/** A header that came several times has its values with commas between them. */
function valuesOf(header: string | undefined): readonly string[] {
  return (header ?? '')
    .split(',')
    .map((value) => value.trim())
    .filter((value) => value !== '');
}

function extraOf(headers: Headers): Readonly<Record<string, readonly string[]>> {
  // Whatever the keys are, `__proto__` too.
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([header]) => header.startsWith(extraPrefix))
      .map(([header, text]) => [unescaped(header.slice(extraPrefix.length)), valuesOf(text)]),
  );
}

function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

/** Whom all who are known, or all who are not, belong to. */
function withEverybody(name: string, groups: readonly string[]): readonly string[] {
  const { known, unknown } = everybody;
  if (groups.includes(unknown)) return groups;
  if (name === anonymous) return [...groups, unknown];
  return groups.includes(known) ? groups : [...groups, known];
}
