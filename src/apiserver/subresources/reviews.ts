/**
 * Questions about identities and permissions: objects that are answered and never stored.
 *
 * TokenReview (who is this token?), SelfSubjectReview (who am I?), SubjectAccessReview,
 * LocalSubjectAccessReview and SelfSubjectAccessReview (may they? in this namespace? may I?), and
 * SelfSubjectRulesReview (what may I?).
 * Routed by plural, since they are no kinds of the catalog; read along their published schemas all
 * the same, and answered as they were understood, with the fields that the sender owns.
 */
import { decodeObject } from '#api/decode.ts';
import { type ApiError, acceptedOnly, badRequest, invalid, unknownResource } from '#api/errors.ts';
import { type FieldError, invalid as invalidField } from '#api/field-error.ts';
import type { KubeObject, ManagedFieldsEntry } from '#api/object.ts';
import { assert } from '#kit/assert.ts';
import { formatTime } from '#kit/clock.ts';
import { isMembers } from '#kit/members.ts';
import type { Identity } from '#kit/transport.ts';
import { type Attributes, decide } from '../auth/authorizer.ts';
import { authenticateBootstrap } from '../auth/bootstrap-tokens.ts';
import { rulesOf } from '../auth/rules.ts';
import { acceptedTypes } from '../output/negotiate.ts';
import type { Parts } from '../parts.ts';
import type { Answer, Arrival, Output, ResourceInfo } from '../request.ts';
import { withAuthenticatedGroup } from '../stages/authenticate.ts';
import { readJson } from '../verbs/body.ts';
import { managerOf, ownedUnstored } from '../verbs/managed-fields.ts';

export interface ReviewCall {
  readonly info: ResourceInfo;
  readonly identity: Identity;
  readonly output: Output;
  readonly arrival: Arrival;
}

type Review = (parts: Parts, call: ReviewCall, body: Body) => object | Promise<object>;

interface Body extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
}

const reviews: Readonly<Record<string, Review>> = {
  'authentication.k8s.io/v1/tokenreviews': reviewToken,
  'authentication.k8s.io/v1/selfsubjectreviews': reviewSelf,
  'authorization.k8s.io/v1/subjectaccessreviews': reviewAccess,
  'authorization.k8s.io/v1/selfsubjectaccessreviews': reviewOwnAccess,
  'authorization.k8s.io/v1/localsubjectaccessreviews': reviewLocalAccess,
  'authorization.k8s.io/v1/selfsubjectrulesreviews': reviewOwnRules,
  // In a group of our own and not in discovery, which stays as upstream has it.
  'scheduling.coracle.dev/v1/placementreviews': reviewPlacement,
};

const namespaced: ReadonlySet<Review> = new Set([reviewLocalAccess, reviewPlacement]);

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
  if (call.output.form !== 'object') throw acceptedOnly(acceptedTypes);
  if (namespaced.has(review) !== (call.info.namespace !== '')) throw unknownResource();
  const body = await readReview(parts, call);
  return { type: 'value', status: 201, value: await review(parts, call, body) };
}

/** The body as its schema has it; of a kind of our own there is none, and its fields stay. */
async function readReview(parts: Parts, { info, arrival }: ReviewCall): Promise<Body> {
  const { request } = arrival;
  const { body } = request;
  const empty = body === undefined || body.length === 0;
  const { json } = empty ? { json: {} } : await readJson(parts, request, { duplicates: false });
  if (json === null || typeof json !== 'object') throw badRequest('the body must be an object');
  const { group, version, plural, namespace } = info;
  const kind = reviewFacts.find((facts) => `${facts.kind.toLowerCase()}s` === plural)?.kind;
  const apiVersion = `${group}/${version}`;
  // Parse boundary: the reviewer looks at each field.
  if (kind === undefined) return { ...json, kind: plural, apiVersion, metadata: {} } as Body;
  const schema = { ref: `io.k8s.api.${group.split('.')[0]}.${version}.${kind}` };
  const refuse = (why: string): ApiError =>
    badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${why}`);
  const decoded = decodeObject(json, schema, parts.catalog, refuse).object;
  const { metadata: given, spec } = decoded;
  const metadata = {
    ...(isMembers(given) ? given : {}),
    ...(namespace === '' ? {} : { namespace }),
  };
  const manager = managerOf({ info, request });
  // Parse boundary: the schema has been checked; a status that is sent counts for nothing.
  const object = { kind, apiVersion, metadata, ...(isMembers(spec) ? { spec } : {}) } as Body;
  return ownedUnstored(parts, { object, schema, manager, subresource: '' });
}

/** The rules of the scheduler are loaded with the first of these. */
async function reviewPlacement(parts: Parts, call: ReviewCall, body: Body): Promise<object> {
  const { reviewPlacement: answer } = await import('./placement-review.ts');
  return answer(parts, call, body.spec);
}

function answerOf({ info }: ReviewCall, kind: string, body: Body, status: object): object {
  return {
    kind,
    apiVersion: `${info.group}/${info.version}`,
    metadata: body.metadata,
    spec: body.spec ?? {},
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
  if (typeof token !== 'string' || token === '') {
    throw badRequest('token is required for TokenReview in authentication');
  }
  const wanted =
    Array.isArray(audiences) && audiences.length > 0 ? audiences.map(String) : undefined;
  return answerOf(call, 'TokenReview', body, tokenStatus(parts, token, wanted));
}

function tokenStatus(
  parts: Parts,
  token: string,
  wanted: readonly string[] = [parts.tokens.audience],
): object {
  const found = parts.tokens.authenticate(token, { audiences: wanted });
  if (found.ok) {
    const user = userInfo(withAuthenticatedGroup(found.identity));
    return { authenticated: true, user, audiences: found.audiences };
  }
  const bootstrap = parts.options.staticTokens?.get(token) ?? authenticateBootstrap(parts, token);
  if (bootstrap !== undefined && wanted.includes(parts.tokens.audience)) {
    const user = userInfo(withAuthenticatedGroup(bootstrap));
    return { authenticated: true, user, audiences: [parts.tokens.audience] };
  }
  const invalid = 'invalid bearer token';
  const { problem } = found;
  return { user: {}, error: problem === '' ? invalid : `[${invalid}, ${problem}]` };
}

function reviewSelf({ clock }: Parts, { info, identity }: ReviewCall): object {
  return {
    kind: 'SelfSubjectReview',
    apiVersion: `${info.group}/${info.version}`,
    metadata: { creationTimestamp: formatTime(clock.now()) },
    status: { userInfo: userInfo(identity) },
  };
}

function reviewOwnAccess(parts: Parts, call: ReviewCall, body: Body): object {
  checkQuestion(body, metadataErrors(body));
  const status = access(parts, call.identity, body);
  return answerOf(call, 'SelfSubjectAccessReview', body, status);
}

function reviewAccess(parts: Parts, call: ReviewCall, body: Body): object {
  checkQuestion(body, [...subjectErrors(body), ...metadataErrors(body)]);
  return answerOf(call, 'SubjectAccessReview', body, accessOf(parts, body));
}

function reviewOwnRules(_parts: Parts, call: ReviewCall, body: Body): object {
  const namespace = text(body.spec?.['namespace']);
  if (namespace === '') throw badRequest('no namespace on request');
  const status = rulesOf(call.identity, namespace);
  return { ...answerOf(call, 'SelfSubjectRulesReview', body, status), metadata: {}, spec: {} };
}

/** As much, of a namespace that the path and the question name alike. */
function reviewLocalAccess(parts: Parts, call: ReviewCall, body: Body): object {
  const { resourceAttributes, nonResourceAttributes } = body.spec ?? {};
  const errors = [...subjectErrors(body), ...metadataErrors(body, { namespaced: true })];
  const own = call.info.namespace;
  const asked = isMembers(resourceAttributes) ? text(resourceAttributes['namespace']) : own;
  if (asked !== own) {
    const at = 'spec.resourceAttributes.namespace';
    errors.push(invalidField(at, asked, 'must match metadata.namespace'));
  }
  if (isMembers(nonResourceAttributes)) {
    const detail = 'disallowed on this kind of request';
    errors.push(invalidField('spec.nonResourceAttributes', nonResourceAttributes, detail));
  }
  checkQuestion(body, errors);
  return answerOf(call, 'LocalSubjectAccessReview', body, accessOf(parts, body));
}

/** Who is asked about. */
function subjectErrors({ spec = {} }: Body): FieldError[] {
  const { user, groups } = spec;
  const isNamed = text(user) !== '' || (Array.isArray(groups) && groups.length > 0);
  if (isNamed) return [];
  const detail = 'at least one of user or group must be specified';
  return [invalidField('spec.user', text(user), detail)];
}

/** A question has no name. */
function metadataErrors({ metadata }: Body, { namespaced = false } = {}): FieldError[] {
  const { managedFields, namespace, ...rest } = metadata;
  const isEmpty = Object.keys(rest).length === 0 && (namespaced || namespace === undefined);
  if (isEmpty) return [];
  const shown = {
    ...metadata,
    ...(managedFields === undefined ? {} : { managedFields: managedFields.map(withoutFields) }),
  };
  const detail = namespaced ? 'must be empty except for namespace' : 'must be empty';
  return [invalidField('metadata', shown, detail)];
}

function withoutFields(entry: ManagedFieldsEntry): ManagedFieldsEntry {
  return { ...entry, fieldsV1: {} };
}

/** What is asked: of an object, or of a path. Upstream's errors do not name the kind. */
function checkQuestion({ spec = {} }: Body, more: readonly FieldError[]): void {
  const { resourceAttributes, nonResourceAttributes } = spec;
  const [ofObject, ofPath] = [isMembers(resourceAttributes), isMembers(nonResourceAttributes)];
  const errors: FieldError[] = [];
  if (ofObject && ofPath) {
    const detail = 'cannot be specified in combination with resourceAttributes';
    errors.push(invalidField('spec.nonResourceAttributes', nonResourceAttributes, detail));
  }
  if (!ofObject && !ofPath) {
    const detail = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
    errors.push(invalidField('spec.resourceAttributes', undefined, detail));
  }
  errors.push(...more);
  if (errors.length === 0) return;
  throw invalid({ group: 'authorization.k8s.io', kind: '' }, '', errors);
}

function accessOf(parts: Parts, body: Body): object {
  const { user, groups, uid } = body.spec ?? {};
  const names = Array.isArray(groups) ? groups.map(String) : [];
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
  if (isMembers(nonResourceAttributes)) {
    const { verb, path } = nonResourceAttributes;
    return { type: 'path', verb: text(verb), path: text(path) };
  }
  assert(isMembers(resourceAttributes), 'a checked question names one of the two');
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
