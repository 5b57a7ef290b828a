/**
 * Addresses, ranges and URLs: `ip("10.0.0.1")`, `cidr("10.0.0.0/8").containsIP(x)`, `url("…")`.
 *
 * IPv6 addresses that stand for IPv4 ones and such with zones are refused.
 *
 * Behaviour: kubernetes.io, "Common Expression Language", IP address, CIDR and URL functions.
 */
import {
  formatAddress,
  isMapped,
  leadingBits,
  type Address as Plain,
  parseAddress,
  widths,
} from '#kit/ip-network.ts';
import { type CelType, parseType } from '../cel-type.ts';
import type { Library } from '../functions.ts';
import { CelError, CelMap, Opaque, succeeds } from '../values.ts';

const ipType = parseType('ip');
const cidrType = parseType('cidr');
const urlType = parseType('url');

class Address extends Opaque {
  readonly type: CelType = ipType;
  readonly plain: Plain;

  constructor(plain: Plain) {
    super();
    this.plain = plain;
  }

  get size(): number {
    return widths[this.plain.family] / 8;
  }

  equals(other: Opaque): boolean {
    return other instanceof Address && isSame(this.plain, other.plain);
  }

  override toString(): string {
    return formatAddress(this.plain);
  }
}

function isSame(one: Plain, other: Plain, bits: number = widths[one.family]): boolean {
  return one.family === other.family && leadingBits(one, bits) === leadingBits(other, bits);
}

class Cidr extends Opaque {
  readonly type: CelType = cidrType;
  readonly address: Address;
  readonly bits: number;

  constructor(address: Address, bits: number) {
    super();
    this.address = address;
    this.bits = bits;
  }

  get size(): number {
    return Math.ceil(this.bits / 8);
  }

  equals(other: Opaque): boolean {
    return other instanceof Cidr && other.bits === this.bits && this.address.equals(other.address);
  }

  has({ plain }: Address): boolean {
    return isSame(this.address.plain, plain, this.bits);
  }

  override toString(): string {
    return `${this.address}/${this.bits}`;
  }
}

function masked({ plain: { family, value } }: Address, bits: number): Address {
  const host = BigInt(widths[family] - bits);
  return new Address({ family, value: (value >> host) << host });
}

function addressOf(text: string): Address {
  const plain = parseAddress(text.replace(/%.*$/, ''));
  if (plain === undefined) {
    throw new CelError(
      `IP Address ${JSON.stringify(text)} parse error during conversion from string: ${whyNoAddress(text)}`,
    );
  }
  if (text.includes('%')) {
    throw new CelError(`IP address ${JSON.stringify(text)} with zone value is not allowed`);
  }
  refuseMapped(text, plain);
  return new Address(plain);
}

function whyNoAddress(text: string): string {
  const said = `ParseAddr(${JSON.stringify(text)})`;
  if (!/[.:]/.test(text)) return `${said}: unable to parse IP`;
  if (text.includes(':')) return `${said}: unable to parse IP`;
  const parts = text.split('.');
  if (parts.some((part) => !/^\d*$/.test(part))) {
    const bad = text.search(/[^0-9.]/);
    return `${said}: unexpected character (at ${JSON.stringify(text.slice(bad))})`;
  }
  if (parts.some((part) => Number(part) > 255)) return `${said}: IPv4 field has value >255`;
  if (parts.some((part) => part.length > 1 && part.startsWith('0'))) {
    return `${said}: IPv4 field has octet with leading zero`;
  }
  if (parts.length < 4) return `${said}: IPv4 address too short`;
  return parts.length > 4 ? `${said}: IPv4 address too long` : `${said}: unable to parse IP`;
}

function refuseMapped(text: string, plain: Plain): void {
  if (!isMapped(plain)) return;
  throw new CelError(`IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`);
}

/** What is no range is said to be none twice, as upstream does. */
function parseRange(text: string): Cidr {
  const slash = text.lastIndexOf('/');
  const [address, length] = [text.slice(0, slash), text.slice(slash + 1)];
  const plain = slash < 0 ? undefined : parseAddress(address);
  const bits = /^(0|[1-9]\d{0,2})$/.test(length) ? Number(length) : Number.NaN;
  if (plain === undefined || !(bits <= widths[plain.family])) {
    const said = 'network address parse error during conversion from string: ';
    throw new CelError(`${said}${said}${whyNoRange(text)}`);
  }
  refuseMapped(text, plain);
  return new Cidr(new Address(plain), bits);
}

function whyNoRange(text: string): string {
  const said = `netip.ParsePrefix(${JSON.stringify(text)})`;
  const slash = text.lastIndexOf('/');
  if (slash < 0) return `${said}: no '/'`;
  const address = text.slice(0, slash);
  if (parseAddress(address.replace(/%.*$/, '')) === undefined)
    return `${said}: ${whyNoAddress(address)}`;
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(length))
    return `${said}: bad bits after slash: ${JSON.stringify(length)}`;
  return `${said}: prefix length out of range`;
}

type Test = (address: Address) => boolean;

const isFour: Test = ({ plain }) => plain.family === 'IPv4';
const isUnspecified: Test = ({ plain }) => plain.value === 0n;
const isLoopback: Test = ({ plain }) =>
  plain.family === 'IPv4' ? leadingBits(plain, 8) === 127n : plain.value === 1n;
const isMulticast: Test = ({ plain }) =>
  plain.family === 'IPv4' ? leadingBits(plain, 4) === 0xen : leadingBits(plain, 8) === 0xffn;
const isLocalMulticast: Test = ({ plain }) =>
  plain.family === 'IPv4'
    ? leadingBits(plain, 24) === 0xe0_00_00n
    : (leadingBits(plain, 16) & 0xff0fn) === 0xff02n;
const isLocalUnicast: Test = ({ plain }) =>
  plain.family === 'IPv4'
    ? leadingBits(plain, 16) === 0xa9fen
    : leadingBits(plain, 10) === 0xfe80n >> 6n;
const isBroadcast: Test = ({ plain }) => plain.family === 'IPv4' && plain.value === 0xffff_ffffn;
const isGlobalUnicast: Test = (address) =>
  ![isUnspecified, isBroadcast, isLoopback, isMulticast, isLocalUnicast].some((is) => is(address));

class Url extends Opaque {
  readonly type: CelType = urlType;
  readonly text: string;
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;

  constructor(text: string) {
    super();
    const [, scheme = '', , host = '', path = '', , query = ''] = urlRegExp.exec(text) ?? [];
    this.text = text;
    this.scheme = scheme.toLowerCase();
    this.host = host;
    this.path = path;
    this.query = query;
  }

  equals(other: Opaque): boolean {
    return other instanceof Url && other.text === this.text;
  }
}

const urlRegExp =
  /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(\/\/(?:[^/?#@]*@)?([^/?#]*))?([^?#]*)(\?([^#]*))?/;

/** Absolute ones only, or paths from the root, as a request line has them. */
export function urlProblem(text: string): string | undefined {
  const said = `parse ${JSON.stringify(text)}`;
  // Control characters are never part of a URL.
  if ([...text].some((one) => one < ' ' || one === '\x7f')) {
    return `${said}: net/url: invalid control character in URL`;
  }
  if (text === '') return `${said}: empty url`;
  const badEscape = /%(?![0-9a-fA-F]{2})/.exec(text.split('?')[0] ?? '');
  const [, scheme, authority, host = '', path = ''] = urlRegExp.exec(text) ?? [];
  if (scheme === undefined && text.startsWith(':')) return `${said}: missing protocol scheme`;
  if (scheme === undefined && !text.startsWith('/')) return `${said}: invalid URI for request`;
  if (scheme !== undefined && authority === undefined && !path.startsWith('/') && path === '') {
    return `${said}: invalid URI for request`;
  }
  const port = /:([^\]:]*)$/.exec(host.replace(/^\[[^\]]*\]/, ''))?.[1];
  if (port !== undefined && !/^\d*$/.test(port)) {
    return `${said}: invalid port ${JSON.stringify(`:${port}`)} after host`;
  }
  if (/[ <>"]/.test(host)) {
    const bad = /[ <>"]/.exec(host)?.[0] ?? '';
    return `${said}: invalid character ${JSON.stringify(bad)} in host name`;
  }
  if (badEscape === null) return undefined;
  return `${said}: invalid URL escape ${JSON.stringify(text.slice(badEscape.index, badEscape.index + 3))}`;
}

function parseUrl(text: string): Url {
  const problem = urlProblem(text);
  if (problem === undefined) return new Url(text);
  throw new CelError(`URL parse error during conversion from string: ${problem}`);
}

/** What a path may hold as it is; all else is escaped. */
function escapedPath(path: string): string {
  return [...path]
    .map((one) => (/[A-Za-z0-9\-_.~$&+,/:;=@%!'()*[\]]/.test(one) ? one : encodeURIComponent(one)))
    .join('');
}

function queryMap({ query }: Url): CelMap {
  const values = new Map<string, string[]>();
  for (const pair of query.split('&')) {
    if (pair === '' || pair.includes(';')) continue;
    const [key = '', ...rest] = pair.split('=');
    const [name, value] = [unescapeQuery(key), unescapeQuery(rest.join('='))];
    if (name === undefined || value === undefined) continue;
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return new CelMap(values);
}

function unescapeQuery(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

export const addressLibrary: Library = {
  'string_to_ip: ip(string) -> ip': addressOf,
  'ip_family: ip::family() -> int': (address: Address) => (isFour(address) ? 4n : 6n),
  'ip_is_canonical: ip.isCanonical(string) -> bool': (text: string) =>
    String(addressOf(text)) === text,
  'ip_is_unspecified: ip::isUnspecified() -> bool': isUnspecified,
  'ip_is_loopback: ip::isLoopback() -> bool': isLoopback,
  'ip_is_link_local_multicast: ip::isLinkLocalMulticast() -> bool': isLocalMulticast,
  'ip_is_link_local_unicast: ip::isLinkLocalUnicast() -> bool': isLocalUnicast,
  'ip_is_global_unicast: ip::isGlobalUnicast() -> bool': isGlobalUnicast,
  'is_ip: isIP(string) -> bool': (text: string) => succeeds(() => addressOf(text)),
  'ip_to_string: string(ip) -> string': (address: Address) => String(address),
  'string_to_cidr: cidr(string) -> cidr': parseRange,
  'cidr_contains_ip_string: cidr::containsIP(string) -> bool': (range: Cidr, text: string) =>
    range.has(addressOf(text)),
  'cidr_contains_ip_ip: cidr::containsIP(ip) -> bool': (range: Cidr, address: Address) =>
    range.has(address),
  'cidr_contains_cidr_string: cidr::containsCIDR(string) -> bool': (range: Cidr, text: string) =>
    containsRange(range, parseRange(text)),
  'cidr_contains_cidr: cidr::containsCIDR(cidr) -> bool': containsRange,
  'cidr_ip: cidr::ip() -> ip': ({ address }: Cidr) => address,
  'cidr_prefix_length: cidr::prefixLength() -> int': ({ bits }: Cidr) => BigInt(bits),
  'cidr_masked: cidr::masked() -> cidr': ({ address, bits }: Cidr) =>
    new Cidr(masked(address, bits), bits),
  'is_cidr: isCIDR(string) -> bool': (text: string) => succeeds(() => parseRange(text)),
  'cidr_to_string: string(cidr) -> string': (range: Cidr) => String(range),
  'string_to_url: url(string) -> url': parseUrl,
  'url_get_scheme: url::getScheme() -> string': ({ scheme }: Url) => scheme,
  'url_get_host: url::getHost() -> string': ({ host }: Url) => host,
  'url_get_hostname: url::getHostname() -> string': ({ host }: Url) =>
    host.startsWith('[') ? host.slice(1, host.indexOf(']')) : host.replace(/:\d*$/, ''),
  'url_get_port: url::getPort() -> string': ({ host }: Url) =>
    /:(\d*)$/.exec(host.replace(/^\[[^\]]*\]/, ''))?.[1] ?? '',
  'url_get_escaped_path: url::getEscapedPath() -> string': ({ path }: Url) => escapedPath(path),
  'url_get_query: url::getQuery() -> map(string, list(string))': queryMap,
  'is_url_string: isURL(string) -> bool': (text: string) => urlProblem(text) === undefined,
};

function containsRange(range: Cidr, other: Cidr): boolean {
  return range.bits <= other.bits && range.has(other.address);
}
