/**
 * What somebody may do, as a list of rules: the fixed table of `authorizer.ts` said the other way
 * round, for `kubectl auth can-i --list` and for tools that hide what is out of reach.
 *
 * A list cannot say everything that the table can (all but Secrets, a node's own pods): then it is
 * marked as incomplete. Called by the reviews.
 */
import type { Identity } from '#kit/transport.ts';
import { mayAll } from './authorizer.ts';

export interface ResourceRule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
}

export interface PathRule {
  readonly verbs: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

export interface Rules {
  readonly resourceRules: readonly ResourceRule[];
  readonly nonResourceRules: readonly PathRule[];
  readonly incomplete: boolean;
}

const aboutOneself: readonly ResourceRule[] = [
  {
    verbs: ['create'],
    apiGroups: ['authentication.k8s.io'],
    resources: ['selfsubjectreviews'],
  },
  {
    verbs: ['create'],
    apiGroups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
  },
];

const discoveryPaths = [
  '/api',
  '/api/*',
  '/apis',
  '/apis/*',
  '/healthz',
  '/livez',
  '/openapi',
  '/openapi/*',
  '/readyz',
  '/version',
  '/version/',
];

const discovery: readonly PathRule[] = [
  { verbs: ['get'], nonResourceURLs: ['/.well-known', '/.well-known/*'] },
  { verbs: ['get'], nonResourceURLs: discoveryPaths },
  {
    verbs: ['get'],
    nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'],
  },
];

/** As upstream lists it: what all may do is said also of who may do everything. */
const everything: Rules = {
  resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, ...aboutOneself],
  nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }, ...discovery],
  incomplete: false,
};

export function rulesOf(identity: Identity, namespace: string): Rules {
  if (mayAll(identity)) return everything;
  const { name } = identity;
  const reads = name.startsWith(`system:serviceaccount:${namespace}:`);
  const own: readonly ResourceRule[] = reads
    ? [{ verbs: ['get', 'list', 'watch'], apiGroups: ['*'], resources: ['*'] }]
    : [];
  return {
    resourceRules: [...aboutOneself, ...own],
    nonResourceRules: discovery,
    incomplete: reads || name.startsWith('system:'),
  };
}
