/**
 * DeleteOptions: from the body or, where there is none, from the query.
 */
import { badRequest } from '#api/errors.ts';
import type { Parts } from '../parts.ts';
import type { Call } from '../request.ts';
import { isDryRun, readJson } from './body.ts';

export type Propagation = 'Background' | 'Foreground' | 'Orphan';

export interface DeleteOptions {
  readonly gracePeriodSeconds: number | undefined;
  readonly propagation: Propagation | undefined;
  readonly preconditions:
    | { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined }
    | undefined;
  readonly dryRun: boolean;
  /** The oldest way to ask for the dependants' end: an object that only waits is answered 202. */
  readonly accepted: boolean;
}

interface Body {
  readonly kind?: unknown;
  readonly gracePeriodSeconds?: unknown;
  readonly propagationPolicy?: unknown;
  readonly orphanDependents?: unknown;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string } | null;
  readonly dryRun?: readonly string[] | null;
}

export async function readDeleteOptions(
  parts: Pick<Parts, 'protobuf'>,
  call: Call,
): Promise<DeleteOptions> {
  return deleteOptionsFrom(await readBody(parts, call), call.info.query);
}

export function deleteOptionsFrom(body: Body, query: URLSearchParams): DeleteOptions {
  const grace = body.gracePeriodSeconds ?? query.get('gracePeriodSeconds') ?? undefined;
  const orphan = body.orphanDependents ?? query.get('orphanDependents') ?? undefined;
  const policy = body.propagationPolicy ?? query.get('propagationPolicy') ?? undefined;
  return {
    gracePeriodSeconds: grace === undefined ? undefined : wholeNumber(grace),
    propagation: propagationOf(policy, orphan),
    preconditions: body.preconditions ?? undefined,
    accepted: orphan === false || orphan === 'false',
    dryRun: isDryRun([...(body.dryRun ?? []), ...query.getAll('dryRun')]),
  };
}

async function readBody(parts: Pick<Parts, 'protobuf'>, { request }: Call): Promise<Body> {
  if (request.body === undefined || request.body.length === 0) return {};
  const { json } = await readJson(parts, request, { duplicates: false });
  if (json === null || typeof json !== 'object' || Array.isArray(json)) {
    throw badRequest('the body of a delete must be a DeleteOptions object');
  }
  return json;
}

function wholeNumber(value: unknown): number {
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number)) return number;
  throw badRequest(`gracePeriodSeconds must be a whole number, not ${JSON.stringify(value)}`);
}

function propagationOf(policy: unknown, orphan: unknown): Propagation | undefined {
  if (policy === undefined || policy === '') {
    if (orphan === undefined) return undefined;
    return orphan === true || orphan === 'true' ? 'Orphan' : 'Background';
  }
  if (policy === 'Background' || policy === 'Foreground' || policy === 'Orphan') return policy;
  throw badRequest(
    `invalid DeleteOptions: propagationPolicy: Unsupported value: ${JSON.stringify(policy)}: supported values: "Background", "Foreground", "Orphan"`,
  );
}
