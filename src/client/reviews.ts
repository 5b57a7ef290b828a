/**
 * Asking the API server who somebody is and what they may: for servers beside it, which believe
 * nobody themselves.
 *
 * Behaviour: kubernetes.io, "Kubelet authentication/authorization"; TokenReview,
 * SubjectAccessReview.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { TokenReview } from '#resources/types/authentication-v1.ts';
import type {
  SubjectAccessReview,
  SubjectAccessReviewSpec,
} from '#resources/types/authorization-v1.ts';
import type { Client } from './client.ts';

export interface ReviewedUser {
  readonly name: string;
  readonly uid?: string | undefined;
  readonly groups: readonly string[];
}

const tokenReviews = reviewKind<TokenReview>('authentication.k8s.io', 'TokenReview');
const accessReviews = reviewKind<SubjectAccessReview>(
  'authorization.k8s.io',
  'SubjectAccessReview',
);

function reviewKind<T extends KubeObject>(group: string, kind: string): KindOf<T> {
  return { group, version: 'v1', plural: `${kind.toLowerCase()}s`, kind, namespaced: false };
}

/** Whose token it is; undefined where it is nobody's. */
export async function reviewToken(
  client: Client,
  token: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<ReviewedUser | undefined> {
  const review: TokenReview = { ...bodyOf(tokenReviews), spec: { token } };
  const { status } = await client.create(tokenReviews, review, { signal });
  const { username: name, uid, groups = [] } = status?.user ?? {};
  return status?.authenticated === true && name !== undefined ? { name, uid, groups } : undefined;
}

export async function reviewAccess(
  client: Client,
  { name, uid, groups }: ReviewedUser,
  asked: Pick<SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes'>,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  const spec = { user: name, uid, groups, ...asked };
  const review: SubjectAccessReview = { ...bodyOf(accessReviews), spec };
  const { status } = await client.create(accessReviews, review, { signal });
  return status?.allowed === true;
}

function bodyOf({ group, version, kind }: KindOf<KubeObject>) {
  return { apiVersion: `${group}/${version}`, kind, metadata: {} };
}
