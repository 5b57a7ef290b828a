/**
 * What a request to the node's server asks for, read in one way by all who look at it: who may ask,
 * what is switched off and what is answered must never be about different paths.
 */
import type { IncomingMessage } from 'node:http';
import { unescape as decode } from 'node:querystring';

export interface Address {
  /** Decoded; begins with a slash. */
  readonly path: string;
  readonly query: URLSearchParams;
}

const brokenEscape = /%(?![\da-f]{2})/i;

/** Undefined: it is no address. */
export function readAddress({ url = '/' }: Pick<IncomingMessage, 'url'>): Address | undefined {
  // Two slashes at the start do not name a host.
  const parsed = URL.parse(url.startsWith('/') ? `http://node${url}` : url);
  if (parsed === null || brokenEscape.test(parsed.pathname)) return undefined;
  return { path: decode(parsed.pathname), query: parsed.searchParams };
}

/** Said, with 400, to who asks for what is no address, as Go's servers do. */
export const noAddress = '400 Bad Request';
