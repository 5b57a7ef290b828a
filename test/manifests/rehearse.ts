/**
 * What a server says to a manifest: a create that is rehearsed and never stored, so that manifests
 * of equal names do not meet.
 *
 * A kind that the server knows under another version is sent as that: the documents are of v1.8,
 * and what is recorded of upstream can only be today's. Namespaces that manifests name are there,
 * with the account that pods need.
 */
import type { Transport } from '#kit/transport.ts';
import type { Manifest, Members } from './extract.ts';

export interface Outcome {
  readonly code: number;
  /** Of a refusal. */
  readonly reason?: string;
  readonly message?: string;
}

/** One line of `manifests.jsonl`. */
export interface RecordedManifest extends Manifest {
  /** The version in which it was sent, where that is another; null: the kind is in none. */
  readonly sentAs?: string | null;
  readonly outcome: Outcome | null;
}

/** Where objects of a kind are created. */
export interface KindPlace {
  readonly apiVersion: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** Finds the place of a kind: in its own version if that is served, else in today's. */
export type FindPlace = (apiVersion: string, kind: string) => KindPlace | undefined;

interface Deps {
  readonly transport: Transport;
  readonly findPlace: FindPlace;
  readonly signal: AbortSignal;
}

export async function prepareNamespaces(
  { transport, signal }: Deps,
  manifests: readonly Manifest[],
): Promise<void> {
  const names = new Set(['default', ...manifests.map(({ object }) => namespaceOf(object))]);
  for (const name of names) {
    await send({ transport, signal }, '/api/v1/namespaces', { metadata: { name } });
    const account = { metadata: { name: 'default' }, automountServiceAccountToken: false };
    await send({ transport, signal }, `/api/v1/namespaces/${name}/serviceaccounts`, account);
  }
}

export async function rehearse(
  { transport, findPlace, signal }: Deps,
  { object }: Manifest,
): Promise<Pick<RecordedManifest, 'sentAs' | 'outcome'>> {
  const place = findPlace(String(object['apiVersion']), String(object['kind']));
  if (place === undefined) return { sentAs: null, outcome: null };
  const { apiVersion, plural, namespaced } = place;
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const base = namespaced ? `${root}/namespaces/${namespaceOf(object)}` : root;
  const path = `${base}/${plural}?dryRun=All`;
  const outcome = await send({ transport, signal }, path, { ...object, apiVersion });
  return { ...(apiVersion === object['apiVersion'] ? {} : { sentAs: apiVersion }), outcome };
}

function namespaceOf({ metadata }: Members): string {
  // Parse boundary: a manifest may hold anything.
  const name = (metadata as Members | null | undefined)?.['namespace'];
  return typeof name === 'string' && name !== '' ? name : 'default';
}

async function send(
  { transport, signal }: Pick<Deps, 'transport' | 'signal'>,
  path: string,
  body: object,
): Promise<Outcome> {
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  const bytes = Buffer.from(JSON.stringify(body));
  const request = { method: 'POST', path, headers, body: bytes };
  const response = await transport.send(request, { signal });
  const parts: Uint8Array[] = [];
  if (response.body instanceof Uint8Array) parts.push(response.body);
  else for await (const part of response.body) parts.push(part);
  if (response.status < 300) return { code: response.status };
  const { reason, message } = JSON.parse(Buffer.concat(parts).toString('utf8'));
  return { code: response.status, reason, message };
}
