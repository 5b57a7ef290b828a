/**
 * Answers for plain paths: discovery, OpenAPI, version, health, metrics, and the documents by which
 * others check our tokens.
 */
import { methodNotAllowed, unknownResource } from '#api/errors.ts';
import { versionDocument } from '#api/version.ts';
import { parseAccept } from '../output/negotiate.ts';
import type { Parts } from '../parts.ts';
import type { Answer, Arrival, PathInfo } from '../request.ts';
import { answerOpenApi } from './openapi-answer.ts';

/** Written exactly so; the others of these roots are no paths of this server. */
const exactPaths: ReadonlySet<string> = new Set([
  '/',
  '/index.html',
  '/metrics',
  '/metrics/slis',
  '/openapi/v2',
  '/openapi/v3',
]);

/** These answer no other method than GET. */
const readOnly = /^\/(api|version|\.well-known|openid)(\/|$)|^\/apis\/[^/]+\/./;

export async function answerPath(
  parts: Parts,
  info: PathInfo,
  { request }: Arrival,
): Promise<Answer> {
  const { path, query } = info;
  const accept = request.headers['accept'] ?? '';
  if (path.includes('//')) return await answerOddPath(parts, path);
  const segments = path.split('/').filter((segment) => segment !== '');
  if (request.method !== 'GET' && readOnly.test(path)) throw methodNotAllowed();
  if (exactPaths.has(path)) return await answerExact(parts, info, request);
  switch (segments[0]) {
    case 'api':
      return answerApi(parts, segments, accept);
    case 'apis':
      return answerApis(parts, segments, accept);
    case 'openapi':
      return segments[1] === 'v3' && segments.length > 2
        ? await answerOpenApi(parts, info, request)
        : pageNotFound;
    case 'version':
      return segments.length === 1 ? asIndented(versionDocument()) : pageNotFound;
    case 'healthz':
    case 'livez':
    case 'readyz': {
      const response = parts.health.answer(path, query);
      return response === undefined ? pageNotFound : { type: 'plain', response };
    }
    case '.well-known':
    case 'openid':
      return answerOpenId(parts, segments.join('/'));
    default:
      return pageNotFound;
  }
}

async function answerExact(
  parts: Parts,
  info: PathInfo,
  request: Arrival['request'],
): Promise<Answer> {
  switch (info.path) {
    case '/metrics':
      return figures(parts.metrics.format(parts));
    case '/metrics/slis':
      return figures(parts.health.format());
    case '/openapi/v2':
    case '/openapi/v3':
      return await answerOpenApi(parts, info, request);
    default:
      return asIndented({ paths: rootPaths(parts) });
  }
}

/** A path with an empty part is none, but what answers it is that of its beginning. */
async function answerOddPath({ discovery }: Parts, path: string): Promise<Answer> {
  const [, root, group = '', version = ''] = path.split('/');
  const isKnown =
    (root === 'api' && discovery.resourceList('', group) !== undefined) ||
    (root === 'apis' && discovery.resourceList(group, version) !== undefined);
  if (isKnown) throw unknownResource();
  return pageNotFound;
}

function answerApi({ discovery }: Parts, segments: readonly string[], accept: string): Answer {
  if (segments.length === 1) {
    if (wantsAggregated(accept)) return aggregated(discovery.aggregated('core'));
    return value(discovery.coreVersions());
  }
  return orUnknown(discovery.resourceList('', segments[1] ?? ''));
}

function answerApis({ discovery }: Parts, segments: readonly string[], accept: string): Answer {
  const [, group = '', version = ''] = segments;
  if (segments.length === 1) {
    if (wantsAggregated(accept)) return aggregated(discovery.aggregated('named'));
    return value(discovery.groupList());
  }
  const known = discovery.group(group);
  if (known === undefined) return pageNotFound;
  if (segments.length === 2) return value(known);
  return orUnknown(discovery.resourceList(group, version));
}

function answerOpenId({ tokens, discovery }: Parts, path: string): Answer {
  const kept = { 'cache-control': 'public, max-age=3600' };
  if (path === 'openid/v1/jwks') {
    return value(tokens.publicKeys(), { ...kept, 'content-type': 'application/jwk-set+json' });
  }
  if (path !== '.well-known/openid-configuration') return pageNotFound;
  const document = {
    issuer: tokens.issuer,
    // Whoever is outside can reach the server, but not what its issuer is called.
    jwks_uri: `https://${discovery.serverAddress}/openid/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  };
  return value(document, kept);
}

const pageNotFound: Answer = {
  type: 'plain',
  response: {
    status: 404,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
    },
    body: Buffer.from('404 page not found\n'),
  },
};

/** For people, who read it as it comes. */
function asIndented(document: object): Answer {
  const body = Buffer.from(JSON.stringify(document, undefined, 2));
  const headers = { 'content-type': 'application/json' };
  return { type: 'plain', response: { status: 200, headers, body } };
}

function figures(text: string): Answer {
  const body = Buffer.from(text);
  const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' };
  return { type: 'plain', response: { status: 200, headers, body } };
}

function wantsAggregated(accept: string): boolean {
  if (!accept.includes('APIGroupDiscoveryList')) return false;
  return parseAccept(accept).some(
    ({ type, parameters }) =>
      type === 'application/json' &&
      parameters['as'] === 'APIGroupDiscoveryList' &&
      parameters['v'] === 'v2',
  );
}

function aggregated(document: object): Answer {
  const type = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  const body = Buffer.from(JSON.stringify(document));
  const headers = { 'content-type': type, vary: 'Accept' };
  return { type: 'plain', response: { status: 200, headers, body } };
}

function rootPaths({ discovery, health }: Parts): readonly string[] {
  const groups = discovery
    .groupVersions()
    .flatMap(({ group, version }) =>
      group === '' ? [`/api/${version}`] : [`/apis/${group}`, `/apis/${group}/${version}`],
    );
  const fixed = [
    '/.well-known/openid-configuration',
    '/api',
    '/apis',
    '/apis/',
    '/metrics',
    '/metrics/slis',
    '/openapi/v2',
    '/openapi/v3',
    '/openapi/v3/',
    '/openid/v1/jwks',
    '/version',
  ];
  return [...new Set([...fixed, ...groups, ...health.paths()])].sort();
}

function orUnknown(document: object | undefined): Answer {
  if (document === undefined) throw unknownResource();
  return value(document);
}

function value(document: object, headers: Readonly<Record<string, string>> = {}): Answer {
  return { type: 'value', status: 200, value: document, headers };
}
