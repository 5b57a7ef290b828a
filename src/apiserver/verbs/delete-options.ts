/**
 * DeleteOptions: from the body or, where there is none, from the query.
 */
import { decodeObject } from '#api/decode.ts';
import { badRequest } from '#api/errors.ts';
import { type FieldError, invalid, notSupported } from '#api/field-error.ts';
import type { Parts } from '../parts.ts';
import type { Call } from '../request.ts';
import { notRegistered, readJson, recognize } from './body.ts';
import { readInteger } from './list-page.ts';
import { checkDryRun, isDryRun, throwInvalidOptions } from './options.ts';

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
  parts: Pick<Parts, 'catalog' | 'protobuf'>,
  call: Call,
): Promise<DeleteOptions> {
  return deleteOptionsFrom((await readBody(parts, call)) ?? optionsOf(call.info.query));
}

/** The query counts only where there is no body, as upstream. */
function optionsOf(query: URLSearchParams): Body {
  const grace = query.get('gracePeriodSeconds');
  return {
    gracePeriodSeconds: grace === null || grace === '' ? undefined : readInteger(grace),
    propagationPolicy: query.get('propagationPolicy') ?? undefined,
    orphanDependents: query.get('orphanDependents') ?? undefined,
    dryRun: query.getAll('dryRun'),
  };
}

export function deleteOptionsFrom(given: Body): DeleteOptions {
  const grace = given.gracePeriodSeconds ?? undefined;
  const orphan = given.orphanDependents ?? undefined;
  const policy = given.propagationPolicy ?? undefined;
  const dryRun = (given.dryRun ?? []).filter((one) => one !== '');
  throwInvalidOptions('DeleteOptions', [...checkPolicy(policy, orphan), ...checkDryRun(dryRun)]);
  return {
    gracePeriodSeconds: grace === undefined ? undefined : wholeNumber(grace),
    propagation: propagationOf(policy, orphan),
    preconditions: given.preconditions ?? undefined,
    accepted: orphan === false || orphan === 'false',
    dryRun: isDryRun(dryRun),
  };
}

async function readBody(
  parts: Pick<Parts, 'catalog' | 'protobuf'>,
  { request }: Call,
): Promise<Body | undefined> {
  if (request.body === undefined || request.body.length === 0) return undefined;
  const { json } = await readJson(parts, request, { duplicates: false });
  const expected = { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1' };
  const { kind, apiVersion } = recognize(json, expected, (why) =>
    badRequest(`couldn't get version/kind; json parse error: ${why}`),
  );
  if (kind !== expected.kind) throw badRequest(notRegistered({ kind, apiVersion }, optionsScheme));
  const schema = { ref: 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions' };
  const refuse = badRequest;
  // The schema has been checked, so it has this shape.
  return decodeObject(json ?? {}, schema, parts.catalog, refuse).object as Body;
}

/** Where upstream registers options; its errors name the place. */
const optionsScheme = 'k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27';

const policies = ['Foreground', 'Background', 'Orphan'];

function checkPolicy(policy: unknown, orphan: unknown): FieldError[] {
  if (policy === undefined) return [];
  const errors: FieldError[] = [];
  const field = 'propagationPolicy';
  if (orphan !== undefined) {
    const detail = 'orphanDependents and deletionPropagation cannot be both set';
    errors.push(invalid(field, policy, detail));
  }
  if (typeof policy !== 'string' || !policies.includes(policy)) {
    errors.push(notSupported(field, policy, [...policies, 'nil']));
  }
  return errors;
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
  if (policy === 'Background' || policy === 'Foreground') return policy;
  return 'Orphan';
}
