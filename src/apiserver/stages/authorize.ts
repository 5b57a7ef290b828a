/**
 * May they? Asks the authorizer and turns a no into upstream's 403. Next: route.
 */
import { forbidden } from '#api/errors.ts';
import type { Identity } from '#kit/transport.ts';
import { type Attributes, decide } from '../auth/authorizer.ts';
import type { Parts } from '../parts.ts';
import type { RequestInfo } from '../request.ts';

export function authorize(parts: Parts, identity: Identity, info: RequestInfo): void {
  const attributes = attributesOf(info);
  const startedMs = parts.clock.monotonic();
  const verdict = decide(parts, identity, attributes);
  parts.metrics.countAuthorization(verdict.allowed, parts.clock.monotonic() - startedMs);
  if (!verdict.allowed) throw forbiddenFor(identity, attributes);
}

function attributesOf(info: RequestInfo): Attributes {
  if (info.type === 'path') return { type: 'path', verb: info.verb, path: info.path };
  const { verb, group, plural, subresource, namespace, name, query } = info;
  const selector = verb === 'list' || verb === 'watch' || verb === 'deletecollection';
  return {
    type: 'resource',
    verb,
    group,
    resource: plural,
    subresource,
    namespace,
    name,
    ...(selector ? { fieldSelector: query.get('fieldSelector') ?? '' } : {}),
  };
}

export function forbiddenFor(identity: Identity, attributes: Attributes): Error {
  const user = JSON.stringify(identity.name);
  if (attributes.type === 'path') {
    const why = `User ${user} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}`;
    return forbidden({ group: '', resource: '' }, '', why);
  }
  const { verb, group, resource, subresource, namespace, name } = attributes;
  const what = subresource === '' ? resource : `${resource}/${subresource}`;
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const why = `User ${user} cannot ${verb} resource "${what}" in API group "${group}" ${where}`;
  return forbidden({ group, resource }, name, why);
}
