/**
 * The walk of one request, top to bottom: each stage is one line here and one file in `stages/`.
 *
 * Stages throw `ApiError` to answer with a Status. An assertion that fails breaks this request
 * only: it is logged, counted in `bugs_total` and answered with 500, so that one malformed object
 * cannot stop the control plane; where `options.rethrowBugs` is set (tests, simulation) it goes on
 * upwards.
 *
 * Called by `http.ts` and by the direct transport. Next: `stages/read-request-info.ts`.
 */
import { AssertionError } from 'node:assert';
import { ApiError, internalError, requestEntityTooLarge, serviceUnavailable } from '#api/errors.ts';
import { formatGroupVersion } from '#api/object.ts';
import type { Identity } from '#kit/transport.ts';
import { StoreUnavailable, ValueTooLarge, ValueUnreadable, ValueUnwritable } from '#store';
import { indent, wantsIndent } from './output/indent.ts';
import { negotiate } from './output/negotiate.ts';
import type { Parts } from './parts.ts';
import {
  type Arrival,
  limits,
  type RequestInfo,
  type ResourceInfo,
  type ServerResponse,
} from './request.ts';
import { auditHeaders } from './stages/audit.ts';
import { authenticate } from './stages/authenticate.ts';
import { authorize } from './stages/authorize.ts';
import { warnOfVersion } from './stages/deprecation.ts';
import { impersonate } from './stages/impersonate.ts';
import { isLongRunning, tooMany } from './stages/in-flight.ts';
import { readRequestInfo } from './stages/read-request-info.ts';
import { addWarnings, respond, respondError } from './stages/respond.ts';
import { route } from './stages/route.ts';
import { checkTimeout } from './verbs/list-options.ts';

export async function handle(parts: Parts, arrival: Arrival): Promise<ServerResponse> {
  const { request } = arrival;
  const audit = auditHeaders(parts, request);
  const startedMs = parts.clock.monotonic();
  const end = parts.metrics.begin(request.method);
  let info: RequestInfo | undefined;
  let response: ServerResponse;
  let leave: (() => void) | 'full' | undefined;
  try {
    checkLimits(arrival);
    info = readRequestInfo(request);
    if (request.path.includes('timeout=') && !isLongRunning(info)) {
      checkTimeout(info.query.get('timeout') ?? '');
    }
    const caller = authenticate(parts, arrival);
    leave = parts.inFlight?.enter(caller, info);
    if (leave === 'full') response = tooMany;
    else response = await answerCaller(parts, { info, caller, arrival, audit });
  } catch (error) {
    response = await respondError(parts, asApiError(parts, error, loggedPath(request.path, info)), {
      accept: request.headers['accept'],
      headers: audit,
    });
  }
  if (typeof leave === 'function') leave();
  if (wantsIndent(request, info)) response = indent(response);
  const tookMs = parts.clock.monotonic() - startedMs;
  end();
  const { method } = request;
  const bodyBytes = request.body?.length ?? 0;
  parts.metrics.countRequest({ info, method, response, bodyBytes, tookMs });
  const { status } = response;
  parts.log.trace('request', () => ({
    verb: method,
    uri: loggedPath(request.path, info),
    status,
    milliseconds: Math.round(tookMs),
    userAgent: request.headers['user-agent'],
  }));
  return response;
}

/** What is run in a container, or asked of a program behind a proxy, may hold secrets. */
const untold: ReadonlySet<string> = new Set(['attach', 'exec', 'proxy']);

function loggedPath(path: string, info: RequestInfo | undefined): string {
  const isTold = info !== undefined && !(info.type === 'resource' && untold.has(info.subresource));
  return isTold ? path : path.replace(/\?.*/s, '');
}

interface Asked {
  readonly info: RequestInfo;
  readonly caller: Identity;
  readonly arrival: Arrival;
  /** Headers of the answer, to which stages may add. */
  readonly audit: Record<string, string>;
}

/** The stages behind the question who asks. */
async function answerCaller(
  parts: Parts,
  { info, caller, arrival, audit }: Asked,
): Promise<ServerResponse> {
  const { request } = arrival;
  const identity = impersonate(parts, caller, request);
  authorize(parts, identity, info);
  warnOfVersion(parts, info, audit);
  const output = negotiate(request.headers['accept'], info, (asked) => hasProtobuf(parts, asked));
  const warn = (texts: readonly string[]): void => addWarnings(audit, texts);
  const answer = await route(parts, { info, identity, output, arrival, warn });
  const response = await respond(parts, { answer, output, info, headers: audit });
  if (output.metaVersion === undefined) return response;
  const { withOlderMeta } = await import('./output/older-meta.ts');
  return withOlderMeta(response);
}

/** Whether the kind of this path can be written in protobuf. */
function hasProtobuf({ catalog, protobufOutput }: Parts, info: ResourceInfo): boolean {
  const served = catalog.findPlural(info, info.plural);
  return (
    served !== undefined &&
    protobufOutput.knows(formatGroupVersion(served.view), served.resource.kind)
  );
}

function checkLimits({ request }: Arrival): void {
  if (request.path.length > limits.pathLengthMax) {
    throw requestEntityTooLarge(`limit is ${limits.pathLengthMax} for the URL`);
  }
  if ((request.body?.length ?? 0) > limits.bodyBytesMax) {
    throw requestEntityTooLarge(`limit is ${limits.bodyBytesMax}`);
  }
}

/** What went wrong, in the client's terms. Bugs are counted; a client that left is no error. */
function asApiError(parts: Parts, error: unknown, path: string): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof StoreUnavailable) {
    parts.log.warn('write refused by the store', { path, error });
    return serviceUnavailable(error.message);
  }
  if (error instanceof ValueTooLarge) return requestEntityTooLarge(error.message);
  if (error instanceof ValueUnreadable || error instanceof ValueUnwritable) {
    parts.log.warn('value cannot be read or written', { path, error });
    return internalError(error.message);
  }
  if (error instanceof AssertionError) {
    parts.metrics.countBug();
    parts.log.error('request broke an invariant', { path, error, stack: error.stack });
    if (parts.options.rethrowBugs === true) throw error;
    return internalError('the request met a fault of the server');
  }
  if (isAbort(error)) return internalError('the request was cancelled by its client');
  parts.metrics.countBug();
  const stack = error instanceof Error ? error.stack : undefined;
  parts.log.error('request failed unexpectedly', { path, error, stack });
  if (parts.options.rethrowBugs === true) throw error;
  return internalError('the request met a fault of the server');
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
