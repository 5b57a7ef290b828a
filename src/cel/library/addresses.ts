/**
 * Addresses, ranges and URLs: `ip("10.0.0.1")`, `cidr("10.0.0.0/8").containsIP(x)`, `url("…")`.
 *
 * An address is its bytes. IPv6 addresses that stand for IPv4 ones and such with zones are refused.
 *
 * Behaviour: kubernetes.io, "Common Expression Language", IP address, CIDR and URL functions.
 */
import { isIP } from 'node:net';
import { type CelType, parseType } from '../cel-type.ts';
import type { Library } from '../functions.ts';
import { CelError, CelMap, type CelValue, Opaque } from '../values.ts';

const ipType = parseType('ip');
const cidrType = parseType('cidr');
const urlType = parseType('url');

export class Address extends Opaque {
  readonly type: CelType = ipType;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super();
    this.bytes = bytes;
  }

  get size(): number {
    return this.bytes.length;
  }

  equals(other: Opaque): boolean {
    return other instanceof Address && Buffer.compare(this.bytes, other.bytes) === 0;
  }

  override toString(): string {
    const { bytes } = this;
    if (bytes.length === 4) return bytes.join('.');
    const groups = Array.from({ length: 8 }, (_, index) =>
      (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16),
    );
    return shortened(groups);
  }
}

/** The longest run of two zeros or more, the first of equals, becomes `::`. */
function shortened(groups: readonly string[]): string {
  let [from, length] = [0, 1];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === '0') end += 1;
    if (end - start > length) [from, length] = [start, end - start];
  }
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, from).join(':')}::${groups.slice(from + length).join(':')}`;
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

  has({ bytes }: Address): boolean {
    if (bytes.length !== this.address.bytes.length) return false;
    return Buffer.compare(masked(bytes, this.bits), masked(this.address.bytes, this.bits)) === 0;
  }

  override toString(): string {
    return `${this.address}/${this.bits}`;
  }
}

function masked(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))));
}

function parseAddress(text: string): Address {
  const bytes = addressBytes(text);
  if (bytes === undefined) {
    throw new CelError(
      `IP Address ${JSON.stringify(text)} parse error during conversion from string: ${whyNoAddress(text)}`,
    );
  }
  if (text.includes('%')) {
    throw new CelError(`IP address ${JSON.stringify(text)} with zone value is not allowed`);
  }
  refuseMapped(text, bytes);
  return new Address(bytes);
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

function refuseMapped(text: string, bytes: Uint8Array): void {
  const mapped =
    bytes.length === 16 &&
    bytes.subarray(0, 10).every((byte) => byte === 0) &&
    bytes[10] === 255 &&
    bytes[11] === 255;
  if (mapped) {
    throw new CelError(`IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`);
  }
}

function addressBytes(given: string): Uint8Array | undefined {
  const text = given.replace(/%.*$/, '');
  const version = isIP(text);
  if (version === 0) return undefined;
  if (version === 4) return Uint8Array.from(text.split('.').map(Number));
  // The last two groups may be written as an IPv4 address.
  const plain = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: readonly string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const groups = (part: string): readonly string[] => part.split(':').filter((one) => one !== '');
  const [first, last] = [groups(head), groups(tail ?? '')];
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => '0');
  const values = [...first, ...zeros, ...last].map((one) => Number.parseInt(one, 16));
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}

/** What is no range is said to be none twice, as upstream does. */
function parseRange(text: string): Cidr {
  const slash = text.lastIndexOf('/');
  const [address, length] = [text.slice(0, slash), text.slice(slash + 1)];
  const bytes = slash < 0 || address.includes('%') ? undefined : addressBytes(address);
  const bits = /^(0|[1-9]\d{0,2})$/.test(length) ? Number(length) : Number.NaN;
  const fine = bytes !== undefined && bits <= bytes.length * 8;
  if (!fine) {
    const said = 'network address parse error during conversion from string: ';
    throw new CelError(`${said}${said}${whyNoRange(text)}`);
  }
  refuseMapped(text, bytes);
  return new Cidr(new Address(bytes), bits);
}

function whyNoRange(text: string): string {
  const said = `netip.ParsePrefix(${JSON.stringify(text)})`;
  const slash = text.lastIndexOf('/');
  if (slash < 0) return `${said}: no '/'`;
  const address = text.slice(0, slash);
  if (addressBytes(address) === undefined) return `${said}: ${whyNoAddress(address)}`;
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(length))
    return `${said}: bad bits after slash: ${JSON.stringify(length)}`;
  return `${said}: prefix length out of range`;
}

/** Whether the first bits of an address are these. */
function startsWithBits({ bytes }: Address, bits: number, ...wanted: readonly number[]): boolean {
  const prefix = Uint8Array.from({ length: bytes.length }, (_, index) => wanted[index] ?? 0);
  return Buffer.compare(masked(bytes, bits), masked(prefix, bits)) === 0;
}

function isFour({ bytes }: Address): boolean {
  return bytes.length === 4;
}

const isUnspecified = ({ bytes }: Address): boolean => bytes.every((byte) => byte === 0);
const isLoopback = (address: Address): boolean =>
  isFour(address) ? address.bytes[0] === 127 : String(address) === '::1';
const isMulticast = (address: Address): boolean =>
  isFour(address) ? startsWithBits(address, 4, 0xe0) : address.bytes[0] === 0xff;
const isLocalMulticast = (address: Address): boolean =>
  isFour(address)
    ? startsWithBits(address, 24, 224, 0, 0)
    : address.bytes[0] === 0xff && ((address.bytes[1] ?? 0) & 0x0f) === 2;
const isLocalUnicast = (address: Address): boolean =>
  isFour(address) ? startsWithBits(address, 16, 169, 254) : startsWithBits(address, 10, 0xfe, 0x80);
const isGlobalUnicast = (address: Address): boolean =>
  !isUnspecified(address) &&
  !(isFour(address) && address.bytes.every((byte) => byte === 255)) &&
  !isLoopback(address) &&
  !isMulticast(address) &&
  !isLocalUnicast(address);

function succeeds(call: () => CelValue): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

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
  'string_to_ip: ip(string) -> ip': parseAddress,
  'ip_family: ip::family() -> int': (address: Address) => (isFour(address) ? 4n : 6n),
  'ip_is_canonical: ip.isCanonical(string) -> bool': (text: string) =>
    String(parseAddress(text)) === text,
  'ip_is_unspecified: ip::isUnspecified() -> bool': isUnspecified,
  'ip_is_loopback: ip::isLoopback() -> bool': isLoopback,
  'ip_is_link_local_multicast: ip::isLinkLocalMulticast() -> bool': isLocalMulticast,
  'ip_is_link_local_unicast: ip::isLinkLocalUnicast() -> bool': isLocalUnicast,
  'ip_is_global_unicast: ip::isGlobalUnicast() -> bool': isGlobalUnicast,
  'is_ip: isIP(string) -> bool': (text: string) => succeeds(() => parseAddress(text)),
  'ip_to_string: string(ip) -> string': (address: Address) => String(address),
  'string_to_cidr: cidr(string) -> cidr': parseRange,
  'cidr_contains_ip_string: cidr::containsIP(string) -> bool': (range: Cidr, text: string) =>
    range.has(parseAddress(text)),
  'cidr_contains_ip_ip: cidr::containsIP(ip) -> bool': (range: Cidr, address: Address) =>
    range.has(address),
  'cidr_contains_cidr_string: cidr::containsCIDR(string) -> bool': (range: Cidr, text: string) =>
    containsRange(range, parseRange(text)),
  'cidr_contains_cidr: cidr::containsCIDR(cidr) -> bool': containsRange,
  'cidr_ip: cidr::ip() -> ip': ({ address }: Cidr) => address,
  'cidr_prefix_length: cidr::prefixLength() -> int': ({ bits }: Cidr) => BigInt(bits),
  'cidr_masked: cidr::masked() -> cidr': ({ address, bits }: Cidr) =>
    new Cidr(new Address(masked(address.bytes, bits)), bits),
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
