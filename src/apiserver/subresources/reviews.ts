/**
 * Questions about identities and permissions: objects that are answered and never stored.
 *
 * TokenReview (who is this token?), SelfSubjectReview (who am I?), SubjectAccessReview,
 * LocalSubjectAccessReview and SelfSubjectAccessReview (may they? in this namespace? may I?), and
 * SelfSubjectRulesReview (what may I?).
 * Routed by plural, since they are no kinds of the catalog.
 */
import { badRequest, notAcceptable, unknownResource } from '#api/errors.ts';
import type { Identity } from '#kit/transport.ts';
import { type Attributes, decide } from '../auth/authorizer.ts';
import { rulesOf } from '../auth/rules.ts';
import { acceptedTypes } from '../output/negotiate.ts';
import type { Parts } from '../parts.ts';
import type { Answer, Arrival, Output, ResourceInfo } from '../request.ts';
import { withAuthenticatedGroup } from '../stages/authenticate.ts';
import { readJson } from '../verbs/body.ts';

export interface ReviewCall {
  readonly info: ResourceInfo;
  readonly identity: Identity;
  readonly output: Output;
  readonly arrival: Arrival;
}

type Review = (parts: Parts, call: ReviewCall, body: Body) => object;

interface Body {
  readonly kind?: unknown;
  readonly metadata?: object;
  readonly spec?: Readonly<Record<string, unknown>>;
}

const reviews: Readonly<Record<string, Review>> = {
  'authentication.k8s.io/v1/tokenreviews': reviewToken,
  'authentication.k8s.io/v1/selfsubjectreviews': reviewSelf,
  'authorization.k8s.io/v1/subjectaccessreviews': reviewAccess,
  'authorization.k8s.io/v1/selfsubjectaccessreviews': reviewOwnAccess,
  'authorization.k8s.io/v1/localsubjectaccessreviews': reviewLocalAccess,
  'authorization.k8s.io/v1/selfsubjectrulesreviews': reviewOwnRules,
};

export interface ReviewFacts {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

const authentication = { group: 'authentication.k8s.io', version: 'v1', namespaced: false };
const authorization = { group: 'authorization.k8s.io', version: 'v1', namespaced: false };

/** What discovery says of them: created, never stored. */
export const reviewFacts: readonly ReviewFacts[] = [
  { ...authentication, kind: 'SelfSubjectReview' },
  { ...authentication, kind: 'TokenReview' },
  { ...authorization, kind: 'LocalSubjectAccessReview', namespaced: true },
  { ...authorization, kind: 'SelfSubjectAccessReview' },
  { ...authorization, kind: 'SelfSubjectRulesReview' },
  { ...authorization, kind: 'SubjectAccessReview' },
];

export function findReview({ group, version, plural }: ResourceInfo): Review | undefined {
  return reviews[`${group}/${version}/${plural}`];
}

export async function answerReview(
  parts: Parts,
  review: Review,
  call: ReviewCall,
): Promise<Answer> {
  // An answer has no metadata of its own that a table or a cache could show.
  if (call.output.form !== 'object') throw notAcceptable(acceptedTypes);
  if ((review === reviewLocalAccess) !== (call.info.namespace !== '')) throw unknownResource();
  const { body } = call.arrival.request;
  const empty = body === undefined || body.length === 0;
  const { json } = empty
    ? { json: {} }
    : await readJson(parts, call.arrival.request, { duplicates: false });
  if (json === null || typeof json !== 'object') throw badRequest('the body must be an object');
  return { type: 'value', status: 201, value: review(parts, call, json) };
}

function answerOf({ info }: ReviewCall, kind: string, body: Body, status: object): object {
  return {
    kind,
    apiVersion: `${info.group}/${info.version}`,
    metadata: { creationTimestamp: null },
    ...(body.spec === undefined ? {} : { spec: body.spec }),
    status,
  };
}

function userInfo({ name, uid, groups, extra }: Identity): object {
  return {
    username: name,
    ...(uid === undefined ? {} : { uid }),
    groups,
    ...(extra === undefined ? {} : { extra }),
  };
}

function reviewToken(parts: Parts, call: ReviewCall, body: Body): object {
  const { token, audiences } = body.spec ?? {};
  if (typeof token !== 'string' || token === '') throw badRequest('spec.token is required');
  const wanted =
    Array.isArray(audiences) && audiences.length > 0 ? audiences.map(String) : undefined;
  const found = parts.tokens.authenticate(token, wanted && { audiences: wanted });
  const status =
    found === undefined
      ? { authenticated: false, error: 'invalid bearer token' }
      : {
          authenticated: true,
          user: userInfo(withAuthenticatedGroup(found)),
          audiences: wanted ?? [parts.tokens.audience],
        };
  return answerOf(call, 'TokenReview', body, status);
}

function reviewSelf(_parts: Parts, call: ReviewCall, body: Body): object {
  return answerOf(call, 'SelfSubjectReview', body, { userInfo: userInfo(call.identity) });
}

function reviewOwnAccess(parts: Parts, call: ReviewCall, body: Body): object {
  const status = access(parts, call.identity, body);
  return answerOf(call, 'SelfSubjectAccessReview', body, status);
}

function reviewAccess(parts: Parts, call: ReviewCall, body: Body): object {
  return answerOf(call, 'SubjectAccessReview', body, accessOf(parts, body));
}

function reviewOwnRules(_parts: Parts, call: ReviewCall, body: Body): object {
  const namespace = text(body.spec?.['namespace']);
  if (namespace === '') throw badRequest('no namespace on request');
  const status = rulesOf(call.identity, namespace);
  return { ...answerOf(call, 'SelfSubjectRulesReview', body, status), spec: {} };
}

/** As much, of a namespace that the path and the question name alike. */
function reviewLocalAccess(parts: Parts, call: ReviewCall, body: Body): object {
  const { resourceAttributes } = body.spec ?? {};
  if (!isRecord(resourceAttributes)) {
    throw badRequest('spec.resourceAttributes is required: only a namespace is asked about');
  }
  if (text(resourceAttributes.namespace) !== call.info.namespace) {
    throw badRequest('spec.resourceAttributes.namespace must match the namespace of the request');
  }
  return answerOf(call, 'LocalSubjectAccessReview', body, accessOf(parts, body));
}

function accessOf(parts: Parts, body: Body): object {
  const { user, groups, uid } = body.spec ?? {};
  const names = Array.isArray(groups) ? groups.map(String) : [];
  if (typeof user !== 'string' && names.length === 0) {
    throw badRequest('at least one of user or groups must be specified');
  }
  const identity: Identity = {
    name: typeof user === 'string' ? user : '',
    groups: names,
    ...(typeof uid === 'string' ? { uid } : {}),
  };
  return access(parts, identity, body);
}

function access(parts: Parts, identity: Identity, { spec = {} }: Body): object {
  const verdict = decide(parts, identity, attributesOf(spec));
  const { allowed, reason } = verdict;
  return { allowed, ...(reason === '' ? {} : { reason }) };
}

function attributesOf(spec: Readonly<Record<string, unknown>>): Attributes {
  const { resourceAttributes, nonResourceAttributes } = spec;
  if (isRecord(nonResourceAttributes)) {
    const { verb, path } = nonResourceAttributes;
    return { type: 'path', verb: text(verb), path: text(path) };
  }
  if (!isRecord(resourceAttributes)) {
    throw badRequest(
      'exactly one of nonResourceAttributes or resourceAttributes must be specified',
    );
  }
  const { verb, group, resource, subresource, namespace, name } = resourceAttributes;
  return {
    type: 'resource',
    verb: text(verb),
    group: text(group),
    resource: text(resource),
    subresource: text(subresource),
    namespace: text(namespace),
    name: text(name),
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
