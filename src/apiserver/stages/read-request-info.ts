/**
 * First stage: what does the path ask for?
 *
 * `/api/v1/…` is the core group, `/apis/GROUP/VERSION/…` all others; then an optional
 * `namespaces/NAMESPACE`, the plural, the name, the sub-resource. The method (and `watch=true`)
 * gives the verb. What does not look like this is a plain path (discovery, health). Next:
 * authenticate.
 */
import type { PlainRequest } from '#kit/transport.ts';
import type { RequestInfo, RequestVerb } from '../request.ts';

const noQuery = new URLSearchParams();

export function readRequestInfo(request: PlainRequest): RequestInfo {
  const at = request.path.indexOf('?');
  const path = at < 0 ? request.path : request.path.slice(0, at);
  const query = at < 0 ? noQuery : new URLSearchParams(request.path.slice(at + 1));
  const segments = splitPath(path);
  const [root] = segments;
  const head = root === 'api' ? 2 : root === 'apis' ? 3 : 0;
  const plain: RequestInfo = { type: 'path', verb: request.method.toLowerCase(), path, query };
  if (head === 0 || segments.length <= head) return plain;
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
  const verb = verbOf(request.method, parts.name, query, forcedWatch, parts.subresource);
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
  name: string,
  query: URLSearchParams,
  forcedWatch: boolean,
  subresource: string,
): RequestVerb {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    default: {
      const watch = query.get('watch');
      const asked = forcedWatch || watch === 'true' || watch === '1';
      // Only the head of a stream that never ends would be no answer.
      const wanted = asked && method !== 'HEAD';
      if (wanted && subresource === '') return 'watch';
      return name === '' ? 'list' : 'get';
    }
  }
}

function splitPath(path: string): string[] {
  const segments = path.split('/').filter((segment) => segment !== '');
  return path.includes('%') ? segments.map(decodeSegment) : segments;
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    if (error instanceof URIError) return segment;
    throw error;
  }
}
