/**
 * Who a certificate signing request (PKCS #10) is for: the common name and the organizations of its
 * subject, read from just as much DER as it takes to get there. Whether the request is sound is not
 * asked here.
 *
 * Format: RFC 2986, RFC 5280 (Name), X.690.
 */
export interface RequestSubject {
  readonly commonName: string;
  readonly organizations: readonly string[];
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

const sequenceTag = 0x30;
const setTag = 0x31;
const identifierTag = 0x06;
const commonNameId = '550403';
const organizationId = '55040a';

/** Undefined where the text is no such request. */
export function requestSubject(pem: string): RequestSubject | undefined {
  const type = '(?:NEW )?CERTIFICATE REQUEST';
  const block = new RegExp(`-----BEGIN ${type}-----([A-Za-z0-9+/=\\s]+)-----END ${type}-----`);
  const der = Buffer.from(block.exec(pem)?.[1] ?? '', 'base64');
  const [request] = elements(der) ?? [];
  const [info] = childrenOf(request, sequenceTag);
  // version, subject, public key, attributes
  const [, name] = childrenOf(info, sequenceTag);
  if (name?.tag !== sequenceTag) return undefined;
  let commonName = '';
  const organizations: string[] = [];
  for (const set of childrenOf(name, sequenceTag)) {
    for (const attribute of childrenOf(set, setTag)) {
      const [id, value] = childrenOf(attribute, sequenceTag);
      if (id?.tag !== identifierTag || value === undefined) continue;
      const text = Buffer.from(value.content).toString('utf8');
      const key = Buffer.from(id.content).toString('hex');
      if (key === commonNameId) commonName = text;
      if (key === organizationId) organizations.push(text);
    }
  }
  return { commonName, organizations };
}

function childrenOf(element: Element | undefined, tag: number): readonly Element[] {
  return element?.tag === tag ? (elements(element.content) ?? []) : [];
}

/** Undefined where the bytes are no row of elements. */
function elements(bytes: Uint8Array): readonly Element[] | undefined {
  const found: Element[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0;
    let start = at + 2;
    if (length >= 0x80) {
      // Long form: so many bytes of length follow. No request is longer than three of them say.
      const count = length - 0x80;
      if (count === 0 || count > 3) return undefined;
      length = 0;
      for (let step = 0; step < count; step++) length = length * 256 + (bytes[start + step] ?? 0);
      start += count;
    }
    if (start + length > bytes.length) return undefined;
    found.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}
