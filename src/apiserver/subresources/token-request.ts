/**
 * `serviceaccounts/NAME/token`: a token for a service account, possibly bound to a pod so that it
 * ends with it. The kubelet asks for those that it mounts into pods.
 */
import { decodeObject } from '#api/decode.ts';
import { type ApiError, badRequest, conflict, forbidden, invalid, notFound } from '#api/errors.ts';
import { invalid as invalidField } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import { formatTime } from '#kit/clock.ts';
import type { BoundObjectReference, TokenRequest } from '#resources/types/authentication-v1.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import type { CSIDriver } from '#resources/types/storage-v1.ts';
import { checkNamespaceAccepts } from '../admission/namespace-lifecycle.ts';
import { nodeOf } from '../admission/node-restriction.ts';
import type { BoundObject, TokenSubject } from '../auth/tokens.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, keyOf, storedObject } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { readJson } from '../verbs/body.ts';
import { managerOf, ownedUnstored } from '../verbs/managed-fields.ts';
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
  const { namespace, name } = info;
  const { json } = await readJson(parts, call.request, { duplicates: false });
  const request = decodeRequest(parts, json);
  checkPlace(request, info);
  const entry = parts.store.get(keyOf(served.resource, namespace, name));
  if (entry === undefined) throw notFound(groupResource(served), name);
  const account = decodeEntry(entry);
  const { uid = '' } = account.metadata;
  checkUid(request, { name, uid });
  const seconds = request.spec?.expirationSeconds ?? secondsDefault;
  checkSeconds(seconds);
  checkNamespaceAccepts(parts, { resource: served.resource, hub: account, namespace });
  const reference = request.spec?.boundObjectRef ?? undefined;
  const audiences = request.spec?.audiences ?? [];
  restrictNodeToken(parts, call, { reference, audiences });
  const said = { ...request.spec, expirationSeconds: seconds };
  const { managedFields } = owned(parts, call, said).metadata;
  const wanted = audiences.length === 0 ? [parts.tokens.audience] : audiences;
  const bound = boundTo(parts, call, reference);
  const subject: TokenSubject = { namespace, serviceAccount: { name, uid }, ...bound };
  const forServer = wanted.every((audience) => audience === parts.tokens.audience);
  const extended = bound.pod !== undefined && seconds === addedByServerSeconds && forServer;
  const { token } = parts.tokens.issue(subject, {
    audiences: wanted,
    seconds: extended ? extendedSeconds : seconds,
    warnAfterSeconds: extended ? seconds : undefined,
  });
  const nowMs = parts.clock.now();
  const shown = isDryRun(info.query.getAll('dryRun')) ? '' : token;
  return {
    type: 'value',
    status: 201,
    value: {
      kind: 'TokenRequest',
      apiVersion,
      metadata: { name, namespace, uid, creationTimestamp: formatTime(nowMs), managedFields },
      spec: {
        audiences: wanted,
        expirationSeconds: seconds,
        boundObjectRef: reference ?? null,
      },
      status: { token: shown, expirationTimestamp: formatTime(nowMs + seconds * 1000) },
    },
  };
}

const schema = { ref: 'io.k8s.api.authentication.v1.TokenRequest' };

function decodeRequest({ catalog }: Parts, json: unknown): Partial<TokenRequest> {
  const refuse = (why: string): ApiError =>
    badRequest(`TokenRequest in version "v1" cannot be handled as a TokenRequest: ${why}`);
  // Parse boundary: the schema has been checked.
  return decodeObject(json, schema, catalog, refuse).object as Partial<TokenRequest>;
}

/** What the sender said of the token, with the default of its duration, is the sender's. */
function owned(parts: Parts, call: Call, spec: Partial<TokenRequest['spec']>): KubeObject {
  const object = { kind: 'TokenRequest', apiVersion, metadata: {}, spec };
  const manager = managerOf(call);
  return ownedUnstored(parts, { object, schema, manager, subresource: 'token' });
}

const apiVersion = 'authentication.k8s.io/v1';
const requestKind = { group: 'authentication.k8s.io', kind: 'TokenRequest' };

/** A body may repeat what the path says, and nothing else. */
function checkPlace({ metadata }: Partial<TokenRequest>, { namespace, name }: Call['info']): void {
  for (const [key, said, meant] of [
    ['name', metadata?.name ?? '', name],
    ['namespace', metadata?.namespace ?? '', namespace],
  ] as const) {
    if (said === '' || said === meant) continue;
    const detail = `must match the service account ${key} if specified`;
    throw invalid(requestKind, name, [invalidField(`metadata.${key}`, said, detail)]);
  }
}

function checkUid({ metadata }: Partial<TokenRequest>, { name, uid }: BoundObject): void {
  const said = metadata?.uid ?? '';
  if (said === '' || said === uid) return;
  const why = `the UID in the token request (${said}) does not match the UID of the service account (${uid})`;
  throw conflict({ group: requestKind.group, resource: requestKind.kind }, name, why);
}

function checkSeconds(seconds: number): void {
  const field = 'spec.expirationSeconds';
  if (seconds < secondsMin) {
    const detail = 'may not specify a duration less than 10 minutes';
    throw invalid(requestKind, '', [invalidField(field, seconds, detail)]);
  }
  if (seconds > secondsMax) {
    const detail = 'may not specify a duration larger than 2^32 seconds';
    throw invalid(requestKind, '', [invalidField(field, seconds, detail)]);
  }
}

type Reference = BoundObjectReference;

const prefixes: Readonly<Record<string, readonly [plural: string, prefix: string]>> = {
  Pod: ['pods', 'pods'],
  Secret: ['secrets', 'secrets'],
  Node: ['nodes', 'minions'],
};

/** The objects that the token ends with. */
function boundTo(
  parts: Parts,
  { info }: Call,
  reference: Reference | undefined,
): Pick<TokenSubject, 'pod' | 'node' | 'secret'> {
  if (reference === undefined) return {};
  const { apiVersion = '', kind = '', name = '', uid = '' } = reference;
  const [plural, prefix] = apiVersion.includes('/') ? [] : (prefixes[kind] ?? []);
  if (plural === undefined || prefix === undefined) {
    const [group = '', version] = apiVersion.includes('/')
      ? apiVersion.split('/')
      : ['', apiVersion];
    const shown = `${group}/${version}, Kind=${kind}`;
    throw badRequest(`cannot bind token to object of type ${shown}`);
  }
  const place = kind === 'Node' ? name : `${info.namespace}/${name}`;
  // Of a Secret or a Node nothing is looked at but its metadata.
  const found = storedObject<Pod>(parts.store, `${prefix}/${place}`);
  if (found === undefined) throw notFound({ group: '', resource: plural }, name);
  const bound = boundOf(found);
  if (kind === 'Pod') checkAccount(found, info.name);
  if (uid !== '' && uid !== bound.uid) {
    throw conflict({ group: '', resource: kind }, name, otherUid(uid));
  }
  if (kind === 'Secret') return { secret: bound };
  if (kind === 'Node') return { node: bound };
  const nodeName = found.spec?.nodeName ?? '';
  if (nodeName === '') return { pod: bound };
  const node = storedObject(parts.store, `minions/${nodeName}`);
  return { pod: bound, node: node === undefined ? { name: nodeName, uid: '' } : boundOf(node) };
}

function otherUid(uid: string): string {
  return `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`;
}

function checkAccount({ spec }: Pod, name: string): void {
  if (spec?.serviceAccountName === name) return;
  throw badRequest(
    `cannot bind token for serviceaccount ${JSON.stringify(name)} to pod running with different serviceaccount name.`,
  );
}

interface NodeToken {
  readonly reference: Reference | undefined;
  readonly audiences: readonly string[];
}

/** A node gets tokens of its own pods only, and for audiences that these name. */
function restrictNodeToken(parts: Parts, call: Call, wanted: NodeToken): void {
  const node = nodeOf(call.identity);
  if (node === undefined) return;
  const why = nodeTokenProblem(parts, node, { ...wanted, namespace: call.info.namespace });
  if (why === undefined) return;
  throw forbidden({ group: '', resource: 'serviceaccounts' }, call.info.name, why);
}

function nodeTokenProblem(
  parts: Parts,
  node: string,
  { reference, audiences, namespace }: NodeToken & { readonly namespace: string },
): string | undefined {
  const { apiVersion, kind, name = '', uid = '' } = reference ?? {};
  if (apiVersion !== 'v1' || kind !== 'Pod' || name === '') {
    return 'node requested token not bound to a pod';
  }
  if (uid === '') return 'node requested token with a pod binding without a uid';
  const pod = storedObject<Pod>(parts.store, `pods/${namespace}/${name}`);
  if (pod === undefined) throw notFound({ group: '', resource: 'pods' }, name);
  if (pod.metadata.uid !== uid) return otherUid(uid);
  if (pod.spec?.nodeName !== node) {
    return 'node requested token bound to a pod scheduled on a different node';
  }
  if (audiences.length > 1) return 'node may only request 0 or 1 audiences';
  const [audience = ''] = audiences;
  if (audiencesOf(parts, pod).includes(audience)) return undefined;
  return `audience ${JSON.stringify(audience)} not found in pod spec volume, system:node:${node} is not authorized to request tokens for this audience`;
}

/** What the pod's volumes want tokens for, itself or through the drivers of its volumes. */
function audiencesOf(parts: Parts, pod: Pod): readonly string[] {
  const { name: podName = '', namespace = '' } = pod.metadata;
  const found: string[] = [];
  for (const volume of pod.spec?.volumes ?? []) {
    for (const { serviceAccountToken } of volume.projected?.sources ?? []) {
      if (serviceAccountToken !== undefined) found.push(serviceAccountToken.audience ?? '');
    }
    const own = volume.ephemeral === undefined ? undefined : `${podName}-${volume.name}`;
    const claim = volume.persistentVolumeClaim?.claimName ?? own;
    const driver = volume.csi?.driver ?? driverOfClaim(parts, namespace, claim);
    if (driver === undefined) continue;
    const { spec } = storedObject<CSIDriver>(parts.store, `csidrivers/${driver}`) ?? {};
    found.push(...(spec?.tokenRequests ?? []).map(({ audience }) => audience));
  }
  return found;
}

function driverOfClaim({ store }: Parts, namespace: string, name: string | undefined) {
  if (name === undefined) return undefined;
  const key = `persistentvolumeclaims/${namespace}/${name}`;
  const volumeName = storedObject<PersistentVolumeClaim>(store, key)?.spec?.volumeName ?? '';
  return storedObject<PersistentVolume>(store, `persistentvolumes/${volumeName}`)?.spec?.csi
    ?.driver;
}

function boundOf({ metadata: { name = '', uid = '' } }: KubeObject): BoundObject {
  return { name, uid };
}
