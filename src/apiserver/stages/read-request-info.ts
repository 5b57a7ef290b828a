/**
 * First stage: what does the path ask for?
 *
 * `/api/v1/…` is the core group, `/apis/GROUP/VERSION/…` all others; then an optional
 * `namespaces/NAMESPACE`, the plural, the name, the sub-resource. The method (and `watch=true`)
 * gives the verb. What does not look like this is a plain path (discovery, health). Next:
 * authenticate.
 */
import { badRequest, methodNotAllowed } from '#api/errors.ts';
import type { Verb } from '#api/resource.ts';
import type { PlainRequest } from '#kit/transport.ts';
import type { RequestInfo } from '../request.ts';

const noQuery = new URLSearchParams();

export function readRequestInfo(request: PlainRequest): RequestInfo {
  const at = request.path.indexOf('?');
  const path = at < 0 ? request.path : request.path.slice(0, at);
  const query = at < 0 ? noQuery : new URLSearchParams(request.path.slice(at + 1));
  const segments = splitPath(path);
  const [root] = segments;
  const head = root === 'api' ? 2 : root === 'apis' ? 3 : 0;
  const plain: RequestInfo = { type: 'path', verb: request.method.toLowerCase(), path, query };
  if (head === 0 || segments.length <= head || path.startsWith('//')) return plain;
  const group = root === 'api' ? '' : (segments[1] ?? '');
  const version = segments[head - 1] ?? '';
  let rest = segments.slice(head);
  let forcedWatch = false;
  if (rest[0] === 'watch' && rest.length > 1) {
    forcedWatch = true;
    rest = rest.slice(1);
  }
  const parts = splitResource(rest);
  if (parts.plural === '') return plain;
  checkName(parts.name);
  const verb = verbOf(request.method, query, { ...parts, forcedWatch });
  return { type: 'resource', verb, group, version, path, query, ...parts };
}

interface ResourceParts {
  readonly namespace: string;
  readonly plural: string;
  readonly name: string;
  readonly subresource: string;
  readonly rest: string;
}

function splitResource(segments: readonly string[]): ResourceParts {
  let namespace = '';
  let from = 0;
  if (segments[0] === 'namespaces' && segments.length > 1) {
    namespace = segments[1] ?? '';
    const third = segments[2];
    // `/namespaces/x`, `/namespaces/x/status`, `/namespaces/x/finalize` speak of the namespace
    // itself.
    if (third !== undefined && third !== 'status' && third !== 'finalize') from = 2;
  }
  const plural = segments[from] ?? '';
  const name = segments[from + 1] ?? '';
  return {
    namespace: from === 0 ? '' : namespace,
    plural,
    name,
    subresource: segments[from + 2] ?? '',
    rest: segments.slice(from + 3).join('/'),
  };
}

function verbOf(
  method: string,
  query: URLSearchParams,
  {
    name,
    subresource,
    forcedWatch,
  }: Pick<ResourceParts, 'name' | 'subresource'> & { readonly forcedWatch: boolean },
): Verb {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    case 'GET': {
      const watches = forcedWatch || isTrue(query.get('watch'));
      if (watches && subresource === '') return 'watch';
      return name === '' ? 'list' : 'get';
    }
    default:
      // What is behind a proxy may have other methods.
      if (subresource === 'proxy') return 'get';
      throw methodNotAllowed();
  }
}

/** As upstream reads booleans of a query: anything but these words is a yes. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== '' && value !== '0' && value.toLowerCase() !== 'false';
}

/** Decoded first, then cut: a slash is a slash however it is written. */
function splitPath(path: string): readonly string[] {
  const decoded = path.includes('%') ? decodePath(path) : path;
  const [start, end] = [decoded.startsWith('/') ? 1 : 0, decoded.endsWith('/') ? -1 : undefined];
  return decoded.slice(start, end).split('/');
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) throw badRequest('invalid URL escape in the path');
    throw error;
  }
}

/** Names that would mean another place if they were ever read as a path. */
function checkName(name: string): void {
  const problem =
    name === '.' || name === '..'
      ? `may not be '${name}'`
      : name.includes('%')
        ? "may not contain '%'"
        : undefined;
  if (problem !== undefined) throw badRequest(`Name parameter invalid: "${name}": ${problem}`);
}
