/**
 * The name of an image, taken apart: `host:port/path:tag@digest`. What is short is made whole as
 * container clients have always done it: `nginx` is `docker.io/library/nginx`. Pure; `images.ts`
 * and the logins ask. Grammar: github.com/distribution/reference.
 */
export interface ImageName {
  /** Whole, without tag and digest. */
  readonly repository: string;
  /** As it was written, without tag and digest. */
  readonly given: string;
  /** Empty where there is none. */
  readonly tag: string;
  readonly digest: string;
}

const defaultHost = 'docker.io';
const pathBytesMax = 255;

const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const host = `(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const part = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const name = `${host}/(?<path>${part}(?:/${part})*)`;
const tag = '[\\w][\\w.-]{0,127}';
const digest = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';
const pattern = new RegExp(`^(?<name>${name})(?::(?<tag>${tag}))?(?:@(?<digest>${digest}))?$`);

/** A text instead where it is no name. */
export function parseImageName(image: string): ImageName | string {
  if (/^[a-f0-9]{64}$/.test(image)) {
    return `invalid repository name (${image}), cannot specify 64-byte hexadecimal strings`;
  }
  const { host: domain, rest } = splitHost(image);
  const path = rest.replace(/:.*$/s, '');
  if (path.toLowerCase() !== path) {
    return `invalid reference format: repository name (${path}) must be lowercase`;
  }
  const groups = pattern.exec(`${domain}/${rest}`)?.groups;
  if (groups === undefined) return 'invalid reference format';
  if ((groups['path'] ?? '').length > pathBytesMax) {
    return `repository name must not be more than ${pathBytesMax} characters`;
  }
  const found = { tag: groups['tag'] ?? '', digest: groups['digest'] ?? '' };
  const end = found.digest === '' ? image : image.slice(0, -found.digest.length - 1);
  const given = found.tag === '' ? end : end.slice(0, -found.tag.length - 1);
  return { repository: groups['name'] ?? '', given, ...found };
}

/** What stands before the first slash is a host when it looks like one. */
function splitHost(image: string): { readonly host: string; readonly rest: string } {
  const slash = image.indexOf('/');
  const first = image.slice(0, Math.max(slash, 0));
  const rest = image.slice(slash + 1);
  const isHost =
    slash >= 0 && (first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first);
  const isDefault = !isHost || first === defaultHost || first === 'index.docker.io';
  if (!isDefault) return { host: first, rest };
  const path = isHost ? rest : image;
  return { host: defaultHost, rest: path.includes('/') ? path : `library/${path}` };
}
