/**
 * Answers for plain paths: discovery, OpenAPI, version, health, metrics, and the documents by which
 * others check our tokens.
 */
import { methodNotSupported, unknownResource } from '#api/errors.ts';
import { versionDocument } from '#api/version.ts';
import { parseAccept } from '../output/negotiate.ts';
import type { Parts } from '../parts.ts';
import type { Answer, Arrival, PathInfo } from '../request.ts';
import { answerOpenApi } from './openapi-answer.ts';

export async function answerPath(
  parts: Parts,
  info: PathInfo,
  { request }: Arrival,
): Promise<Answer> {
  const { path, query } = info;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw methodNotSupported({ group: '', resource: '' }, request.method);
  }
  const segments = path.split('/').filter((segment) => segment !== '');
  const accept = request.headers['accept'] ?? '';
  switch (segments[0]) {
    case 'api':
      return answerApi(parts, segments, accept);
    case 'apis':
      return answerApis(parts, segments, accept);
    case 'openapi':
      return await answerOpenApi(parts, info, request);
    case 'version':
      return value(versionDocument());
    case 'healthz':
    case 'livez':
    case 'readyz': {
      const response = parts.health.answer(path, query);
      if (response === undefined) throw unknownResource();
      return { type: 'plain', response };
    }
    case 'metrics':
      return metrics(parts);
    case '.well-known':
    case 'openid':
      return answerOpenId(parts, path);
    case undefined:
      return value({ paths: rootPaths(parts) });
    default:
      throw unknownResource();
  }
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
  if (segments.length === 2) return orUnknown(discovery.group(group));
  return orUnknown(discovery.resourceList(group, version));
}

function answerOpenId({ tokens }: Parts, path: string): Answer {
  if (path === '/openid/v1/jwks') {
    return value(tokens.publicKeys(), { 'content-type': 'application/jwk-set+json' });
  }
  if (path !== '/.well-known/openid-configuration') throw unknownResource();
  return value({
    issuer: tokens.issuer,
    jwks_uri: `${tokens.issuer}/openid/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  });
}

function metrics(parts: Parts): Answer {
  const body = Buffer.from(parts.metrics.format(parts));
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

function rootPaths({ discovery }: Parts): readonly string[] {
  const groups = discovery
    .groupVersions()
    .map(({ group, version }) => (group === '' ? `/api/${version}` : `/apis/${group}/${version}`));
  const fixed = [
    '/api',
    '/apis',
    '/healthz',
    '/livez',
    '/metrics',
    '/openapi/v2',
    '/openapi/v3',
    '/readyz',
    '/version',
  ];
  return [...new Set([...fixed, ...groups])].sort();
}

function orUnknown(document: object | undefined): Answer {
  if (document === undefined) throw unknownResource();
  return value(document);
}

function value(document: object, headers: Readonly<Record<string, string>> = {}): Answer {
  return { type: 'value', status: 200, value: document, headers };
}
