/**
 * `serviceaccounts/NAME/token`: a token for a service account, possibly bound to a pod or a Secret so
 * that it ends with it. The kubelet asks for those that it mounts into pods.
 */
import { badRequest, conflict, invalid, notFound } from '#api/errors.ts';
import type { FieldError } from '#api/field-error.ts';
import { formatTime } from '#kit/clock.ts';
import type { BoundObjectReference, TokenRequest } from '#resources/types/authentication-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { BoundObject, TokenSubject } from '../auth/tokens.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, keyOf, registryRoot } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { readJson } from '../verbs/body.ts';
import { isDryRun } from '../verbs/options.ts';
import { groupResource } from '../verbs/write.ts';

const secondsDefault = 3600;
const secondsMin = 600;
const secondsMax = 2 ** 32;
/**
 * What is added by the server to pods asks for this; such tokens outlive the request for old
 * clients.
 */
const addedByServerSeconds = 3607;
const extendedSeconds = 365 * 24 * 3600;

export async function requestToken(parts: Parts, call: Call): Promise<Answer> {
  const { served, info } = call;
  const { json } = await readJson(parts, call.request, { duplicates: false });
  if (json === null || typeof json !== 'object')
    throw badRequest('the body must be a TokenRequest');
  // Parse boundary: the fields that matter are checked below.
  const request = json as Partial<TokenRequest>;
  const entry = parts.store.get(keyOf(served.resource, info.namespace, info.name));
  if (entry === undefined) throw notFound(groupResource(served), info.name);
  const { uid = '' } = decodeEntry(entry).metadata;
  const seconds = request.spec?.expirationSeconds ?? secondsDefault;
  checkSeconds(seconds);
  const audiences = request.spec?.audiences ?? [];
  const wanted = audiences.length === 0 ? [parts.tokens.audience] : audiences;
  const subject: TokenSubject = {
    namespace: info.namespace,
    serviceAccount: { name: info.name, uid },
    ...boundTo(parts, call, request.spec?.boundObjectRef),
  };
  const extended = seconds === addedByServerSeconds && wanted[0] === parts.tokens.audience;
  const { token, expiresMs } = parts.tokens.issue(subject, {
    audiences: wanted,
    seconds: extended ? extendedSeconds : seconds,
  });
  const shownMs = extended ? parts.clock.now() + seconds * 1000 : expiresMs;
  const shown = isDryRun(info.query.getAll('dryRun')) ? '' : token;
  return {
    type: 'value',
    status: 201,
    value: {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: {
        name: info.name,
        namespace: info.namespace,
        creationTimestamp: formatTime(parts.clock.now()),
      },
      spec: {
        audiences: wanted,
        expirationSeconds: seconds,
        boundObjectRef: request.spec?.boundObjectRef ?? null,
      },
      status: { token: shown, expirationTimestamp: formatTime(shownMs) },
    },
  };
}

function checkSeconds(seconds: unknown): asserts seconds is number {
  const field = 'spec.expirationSeconds';
  const error = (detail: string): FieldError => ({
    type: 'FieldValueInvalid',
    field,
    badValue: seconds,
    detail,
  });
  const of = { group: 'authentication.k8s.io', kind: 'TokenRequest' };
  if (typeof seconds !== 'number' || !Number.isInteger(seconds)) {
    throw badRequest(`${field} must be a whole number`);
  }
  if (seconds < secondsMin) {
    throw invalid(of, '', [error('may not specify a duration less than 10 minutes')]);
  }
  if (seconds > secondsMax) {
    throw invalid(of, '', [error('may not specify a duration larger than 2^32 seconds')]);
  }
}

type Reference = BoundObjectReference;

/** The objects that the token ends with. */
function boundTo(
  parts: Parts,
  { info }: Call,
  reference: Reference | undefined | null,
): Pick<TokenSubject, 'pod' | 'node' | 'secret'> {
  if (reference === undefined || reference === null) return {};
  const { kind = '', name = '', uid = '' } = reference;
  if (kind !== 'Pod' && kind !== 'Secret') {
    throw badRequest(`cannot bind token for serviceaccount to object of type ${kind}`);
  }
  const of = { group: '', resource: kind === 'Pod' ? 'pods' : 'secrets' };
  const found = readBound(parts, `${registryRoot}${of.resource}/${info.namespace}/${name}`);
  if (found === undefined) throw notFound(of, name);
  if (uid !== '' && uid !== found.bound.uid) {
    const why = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`;
    throw conflict(of, name, why);
  }
  if (kind === 'Secret') return { secret: found.bound };
  const pod = found;
  // Stored pods have this shape.
  const { spec } = pod.object as unknown as Pod;
  const account = spec?.serviceAccountName ?? '';
  if (account !== info.name) {
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(info.name)} to pod running with different serviceaccount name.`,
    );
  }
  const node = spec?.nodeName ?? '';
  const onNode = node === '' ? undefined : readBound(parts, `${registryRoot}minions/${node}`);
  return { pod: pod.bound, ...(onNode === undefined ? {} : { node: onNode.bound }) };
}

function readBound(
  { store }: Parts,
  key: string,
): { readonly bound: BoundObject; readonly object: ReturnType<typeof decodeEntry> } | undefined {
  const entry = store.get(key);
  if (entry === undefined) return undefined;
  const object = decodeEntry(entry);
  const { name = '', uid = '' } = object.metadata;
  return { bound: { name, uid }, object };
}
