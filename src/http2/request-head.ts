/**
 * The head of a request out of its fields (RFC 9113, section 8): what is well-formed, and what is
 * not one at all. Pure; `http2.ts` feeds it what the decoder finds.
 *
 * A field that comes more than once is one list, as in HTTP/1; of those that have one value, the
 * first counts.
 */
import { ConnectionError, errorCode } from './frames.ts';

/** By name, which is in lower case; `:method`, `:path`, `:scheme` and `:authority` among them. */
export type RequestHeaders = Readonly<Record<string, string>>;

export type RequestHead =
  | {
      readonly is: 'whole';
      readonly headers: RequestHeaders;
      readonly contentLength: number | undefined;
    }
  | { readonly is: 'malformed' }
  /** More than the server takes. */
  | { readonly is: 'too large' };

/** What a field counts for besides its name and value, as the protocol counts. */
const fieldBytes = 32;

/** Fields go on being read that much further than is taken: the table of names needs them. */
const excessMax = 4;

const pseudoNames: ReadonlySet<string> = new Set([':method', ':scheme', ':path', ':authority']);

/** They are about one connection, of which HTTP/2 tells in other ways. */
const connectionNames: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'],
]);

const singleNames: ReadonlySet<string> = new Set([
  ...['authorization', 'content-type', 'expect', 'from', 'host', 'if-match', 'if-modified-since'],
  ...['if-none-match', 'if-unmodified-since', 'max-forwards', 'origin', 'proxy-authorization'],
  ...['referer', 'user-agent'],
]);

const namePattern = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// What no value may have: control characters, which end lines elsewhere, and spaces at its ends.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const wrongValuePattern = /[\0-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$/;
const lengthPattern = /^\d{1,15}$/;

export class HeadReader {
  readonly #bytesMax: number;
  #headers: Record<string, string> = noFields();
  #bytes = 0;
  #isMalformed = false;
  #hasOrdinary = false;

  constructor({ bytesMax }: { readonly bytesMax: number }) {
    this.#bytesMax = bytesMax;
  }

  begin(): void {
    this.#headers = noFields();
    this.#bytes = 0;
    this.#isMalformed = false;
    this.#hasOrdinary = false;
  }

  /** Throws a {@link ConnectionError} when it is so much that it must be an attack. */
  readonly add = (name: string, value: string): void => {
    this.#bytes += name.length + value.length + fieldBytes;
    if (this.#bytes > this.#bytesMax) {
      if (this.#bytes <= excessMax * this.#bytesMax) return;
      throw new ConnectionError(errorCode.enhanceYourCalm, 'a head that is far too large');
    }
    if (!this.#isWellFormed(name, value)) this.#isMalformed = true;
    else this.#set(name, value);
  };

  end(): RequestHead {
    const headers = this.#headers;
    this.#headers = noFields();
    if (this.#bytes > this.#bytesMax) return { is: 'too large' };
    if (this.#isMalformed || !isComplete(headers)) return { is: 'malformed' };
    const length = headers['content-length'];
    return {
      is: 'whole',
      headers,
      contentLength: length === undefined ? undefined : Number(length),
    };
  }

  /** Of fields behind the body: nobody reads them, so they need only be no others. */
  endTrailers(): 'well-formed' | 'malformed' {
    const isRight = !this.#isMalformed && !Object.keys(this.#headers).some(isPseudo);
    this.#headers = noFields();
    return isRight ? 'well-formed' : 'malformed';
  }

  #isWellFormed(name: string, value: string): boolean {
    if (wrongValuePattern.test(value)) return false;
    if (isPseudo(name)) {
      return !this.#hasOrdinary && pseudoNames.has(name) && this.#headers[name] === undefined;
    }
    this.#hasOrdinary = true;
    if (!namePattern.test(name) || connectionNames.has(name)) return false;
    if (name === 'te') return value.toLowerCase() === 'trailers';
    if (name !== 'content-length') return true;
    const said = this.#headers[name];
    return lengthPattern.test(value) && (said === undefined || said === value);
  }

  #set(name: string, value: string): void {
    const said = this.#headers[name];
    if (said === undefined) this.#headers[name] = value;
    else if (name === 'cookie') this.#headers[name] = `${said}; ${value}`;
    else if (name !== 'content-length' && !singleNames.has(name)) {
      this.#headers[name] = `${said}, ${value}`;
    }
  }
}

/** No names but those that come: `constructor` is a field as any other. */
function noFields(): Record<string, string> {
  return Object.create(null) as Record<string, string>;
}

function isPseudo(name: string): boolean {
  return name.startsWith(':');
}

function isComplete({
  ':method': method,
  ':scheme': scheme,
  ':path': path,
  ':authority': authority,
}: RequestHeaders): boolean {
  if (method === undefined || method === '') return false;
  if (method === 'CONNECT') {
    return scheme === undefined && path === undefined && authority !== undefined;
  }
  if (scheme === undefined || path === undefined) return false;
  return path.startsWith('/') || (path === '*' && method === 'OPTIONS');
}
