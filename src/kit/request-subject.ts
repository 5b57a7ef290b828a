/**
 * Who a certificate signing request (PKCS #10) is for: the common name and the organizations of its
 * subject. Whether the request is sound is not asked here; `certificate-request.ts` reads the rest.
 *
 * The API server judges requests by it, and does not load what signs them. Format: RFC 2986.
 */
import { children, contentOf, DerError, oid, parseObjectIdentifier } from './der.ts';

export interface RequestSubject {
  readonly commonName: string;
  readonly organizations: readonly string[];
}

const type = 'CERTIFICATE REQUEST';
const block = new RegExp(`-----BEGIN ${type}-----([A-Za-z0-9+/=\\s]+)-----END ${type}-----`);

/** What is inside the PEM block; undefined where there is none. */
export function requestBytes(pem: string): Uint8Array | undefined {
  const base64 = block.exec(pem)?.[1];
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64');
}

/** Undefined where the text is no such request. */
export function requestSubject(pem: string): RequestSubject | undefined {
  const request = requestBytes(pem);
  try {
    const [info] = request === undefined ? [] : children(request);
    // version, subject, public key, attributes
    const [, name] = info === undefined ? [] : children(info);
    return name === undefined ? undefined : parseSubject(name);
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** Of a name with several common names the last one counts. */
export function parseSubject(name: Uint8Array): RequestSubject {
  const values = (type: string): readonly string[] =>
    children(name)
      .flatMap(children)
      .flatMap((attribute) => {
        const [id, value] = children(attribute);
        if (id === undefined || value === undefined) return [];
        const isIt = parseObjectIdentifier(id) === type;
        return isIt ? [Buffer.from(contentOf(value)).toString('utf8')] : [];
      });
  return {
    commonName: values(oid.commonName).at(-1) ?? '',
    organizations: values(oid.organization),
  };
}
