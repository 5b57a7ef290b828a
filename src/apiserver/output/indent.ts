/**
 * JSON for people: indented where the query says `pretty=true`, and for the programs that people
 * type by hand (curl, Wget, browsers) unless it says `pretty=false`, as upstream does.
 *
 * Only what this server wrote itself, and only up to a size: a longer list goes out as it is, since
 * nobody reads it and writing it anew would keep the others waiting. What is behind a proxy and the
 * documents of OpenAPI are not touched. The lifecycle calls it last.
 */
import type { PlainRequest } from '#kit/transport.ts';
import { limits, type RequestInfo, type ServerResponse } from '../request.ts';

const typedByHand = /^(curl|Wget|Mozilla\/5\.0)/;
const truths: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);

export function wantsIndent(request: PlainRequest, info: RequestInfo | undefined): boolean {
  const agent = request.headers['user-agent'] ?? '';
  const isAsked = request.path.includes('pretty');
  if (!isAsked && !typedByHand.test(agent)) return false;
  if (info?.type === 'path' && !/^\/apis?(\/|$)/.test(info.path)) return false;
  if (info?.type === 'resource' && /^(log|proxy)$/.test(info.subresource)) return false;
  const said = isAsked ? (info?.query.get('pretty') ?? '') : '';
  return said === '' ? typedByHand.test(agent) : truths.has(said);
}

export function indent(response: ServerResponse): ServerResponse {
  const { headers, body } = response;
  const isJson = headers['content-type']?.startsWith('application/json') === true;
  if (!isJson || headers['content-encoding'] !== undefined) return response;
  if (!(body instanceof Uint8Array) || body.length > limits.indentedBytesMax) return response;
  const text = JSON.stringify(JSON.parse(Buffer.from(body).toString('utf8')), undefined, 2);
  return { ...response, body: Buffer.from(`${text}\n`) };
}
