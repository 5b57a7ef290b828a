/**
 * API errors: one class that carries a Status, made only by the factories of this file.
 *
 * The texts, reasons and codes are upstream's, because clients print and match them. Everything
 * that goes wrong for a caller of the API is thrown as `ApiError` (validation failures through
 * `invalid`), told apart with `isReason`, and turned into bytes in one place
 * (`apiserver/stages/respond.ts`). The client makes `ApiError`s again from answers (`fromStatus`).
 */
import { type FieldError, formatFieldErrorBody, formatFieldErrors } from './field-error.ts';

export interface StatusCause {
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
  readonly field?: string | undefined;
}

export interface StatusDetails {
  readonly name?: string | undefined;
  readonly group?: string | undefined;
  readonly kind?: string | undefined;
  readonly uid?: string | undefined;
  readonly causes?: readonly StatusCause[] | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string };
  readonly status: 'Success' | 'Failure';
  readonly message?: string | undefined;
  readonly reason?: StatusReason | undefined;
  readonly details?: StatusDetails | undefined;
  readonly code: number;
}

export type StatusReason =
  | ''
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Gone'
  | 'Invalid'
  | 'ServerTimeout'
  | 'StoreReadError'
  | 'Timeout'
  | 'TooManyRequests'
  | 'BadRequest'
  | 'MethodNotAllowed'
  | 'NotAcceptable'
  | 'RequestEntityTooLarge'
  | 'UnsupportedMediaType'
  | 'InternalError'
  | 'Expired'
  | 'ServiceUnavailable';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: Status;

  constructor(status: Status, options?: ErrorOptions) {
    super(status.message ?? status.reason ?? 'unknown', options);
    this.status = status;
  }
}

export function isReason(error: unknown, reason: StatusReason): error is ApiError {
  return error instanceof ApiError && error.status.reason === reason;
}

/** The error that an answer of the server stands for. */
export function fromStatus(status: Status): ApiError {
  return new ApiError(status);
}

export interface GroupResource {
  readonly group: string;
  /** Plural. */
  readonly resource: string;
}

export interface GroupKind {
  readonly group: string;
  readonly kind: string;
}

function qualified(name: string, group: string): string {
  return group === '' ? name : `${name}.${group}`;
}

function failure(
  code: number,
  reason: StatusReason,
  message: string,
  details?: StatusDetails,
  options?: ErrorOptions,
): ApiError {
  const status: Status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    ...(reason === '' ? {} : { reason }),
    ...(details === undefined ? {} : { details }),
    code,
  };
  return new ApiError(status, options);
}

function about({ group, resource }: GroupResource, name: string): StatusDetails {
  return {
    ...(name === '' ? {} : { name }),
    ...(group === '' ? {} : { group }),
    ...(resource === '' ? {} : { kind: resource }),
  };
}

export function notFound(of: GroupResource, name: string): ApiError {
  const message = `${qualified(of.resource, of.group)} "${name}" not found`;
  return failure(404, 'NotFound', message, about(of, name));
}

/** No such path or kind on this server. */
export function unknownResource(): ApiError {
  return failure(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function alreadyExists(of: GroupResource, name: string): ApiError {
  const message = `${qualified(of.resource, of.group)} "${name}" already exists`;
  return failure(409, 'AlreadyExists', message, about(of, name));
}

/** Every generated name that was tried was taken. */
export function generateNameConflict(of: GroupResource, name: string): ApiError {
  const message =
    `${qualified(of.resource, of.group)} "${name}" already exists, ` +
    'the server was not able to generate a unique name for the object';
  return failure(409, 'AlreadyExists', message, { ...about(of, name), retryAfterSeconds: 1 });
}

export function conflict(
  of: GroupResource,
  name: string,
  why = 'the object has been modified; please apply your changes to the latest version and try again',
): ApiError {
  const message = `Operation cannot be fulfilled on ${qualified(of.resource, of.group)} "${name}": ${why}`;
  return failure(409, 'Conflict', message, about(of, name));
}

/** A server-side apply that would change what other managers own. */
export function applyConflict(message: string, causes: readonly StatusCause[]): ApiError {
  return failure(409, 'Conflict', message, { causes });
}

export function invalid(of: GroupKind, name: string, errors: readonly FieldError[]): ApiError {
  const causes = errors.map((error) => ({
    reason: error.type,
    message: formatFieldErrorBody(error),
    field: error.field,
  }));
  const subject = `${qualified(of.kind, of.group)} "${name}" is invalid`;
  const message = errors.length === 0 ? subject : `${subject}: ${formatFieldErrors(errors)}`;
  const details = { ...about({ group: of.group, resource: of.kind }, name), causes };
  return failure(422, 'Invalid', message, details);
}

export function badRequest(message: string): ApiError {
  return failure(400, 'BadRequest', message);
}

export function unauthorized(message = 'Unauthorized'): ApiError {
  return failure(401, 'Unauthorized', message);
}

/** `why` says what is not allowed to whom: `User "x" cannot list resource "pods" in …`. */
export function forbidden(
  of: GroupResource,
  name: string,
  why: string,
  causes?: readonly StatusCause[],
): ApiError {
  let subject = qualified(of.resource, of.group);
  if (of.resource === '') subject = '';
  else if (name === '') subject += ' is ';
  else subject += ` "${name}" is `;
  const details = { ...about(of, name), ...(causes === undefined ? {} : { causes }) };
  return failure(403, 'Forbidden', `${subject}forbidden: ${why}`, details);
}

/** The resource version or continue token asked for is older than the history kept. */
export function expired(message: string): ApiError {
  return failure(410, 'Expired', message);
}

/** What upstream did not foresee: its answers have no reason. */
export function unexplained(message: string): ApiError {
  return failure(500, '', message);
}

export function gone(message: string): ApiError {
  return failure(410, 'Gone', message);
}

export function tooManyRequests(message: string, retryAfterSeconds: number): ApiError {
  return failure(429, 'TooManyRequests', message, { retryAfterSeconds });
}

export function internalError(message: string, options?: ErrorOptions): ApiError {
  const details = { causes: [{ message }] };
  return failure(500, 'InternalError', `Internal error occurred: ${message}`, details, options);
}

export function notAcceptable(accepted: readonly string[]): ApiError {
  const message = `406: Not Acceptable\n\nAvailable representations: ${accepted.join(', ')}`;
  return failure(406, 'NotAcceptable', message, {});
}

/** The types would do, but not what is asked for in them. */
export function acceptedOnly(accepted: readonly string[]): ApiError {
  const message = `only the following media types are accepted: ${accepted.join(', ')}`;
  return failure(406, 'NotAcceptable', message);
}

/** `type` is what upstream's server keeps the object in: `*core.SecretList`. */
export function notThatPart(form: string, isList: boolean, type: string): ApiError {
  const what = isList ? 'a list' : 'not a list';
  const message = `you requested ${form}, but the requested object is ${what} (*${type})`;
  return failure(406, 'NotAcceptable', message);
}

export function unsupportedMediaType(accepted: readonly string[]): ApiError {
  const message =
    'the body of the request was in an unknown format - ' +
    `accepted media types include: ${accepted.join(', ')}`;
  return failure(415, 'UnsupportedMediaType', message);
}

export function requestEntityTooLarge(message: string): ApiError {
  return failure(413, 'RequestEntityTooLarge', `Request entity too large: ${message}`);
}

export function timeout(message: string, retryAfterSeconds: number): ApiError {
  return failure(504, 'Timeout', `Timeout: ${message}`, { retryAfterSeconds });
}

/** Of a resource version that the server has not come to; it may, or its store has gone back. */
export function tooLargeRevision(wanted: number, current: number): ApiError {
  const why = 'Too large resource version';
  const causes = [{ reason: 'ResourceVersionTooLarge', message: why }];
  const message = `Timeout: ${why}: ${wanted}, current: ${current}`;
  return failure(504, 'Timeout', message, { causes, retryAfterSeconds: 1 });
}

export function serviceUnavailable(message: string): ApiError {
  return failure(503, 'ServiceUnavailable', message);
}

/** A JSON patch that cannot be applied to the object as it is; upstream does not say why. */
export function unprocessablePatch(): ApiError {
  return failure(
    422,
    'Invalid',
    'the server rejected our request due to an error in our request',
    {},
  );
}

/** The method that the path does not have; upstream's router says no more. */
export function methodNotAllowed(): ApiError {
  const message = 'the server does not allow this method on the requested resource';
  return failure(405, 'MethodNotAllowed', message, {});
}

/** An answer of upstream's router, which knows no more of the request than its headers. */
export function unsupportedPatchType(): ApiError {
  return failure(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
}

/** The answer to a request that succeeded and has no object of its own to show. */
export function success(details?: StatusDetails): Omit<Status, 'code'> {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    ...(details === undefined ? {} : { details }),
  };
}
