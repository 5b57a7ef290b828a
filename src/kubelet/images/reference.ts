/**
 * Whether a name can be that of an image, as `registry:5000/folder/name:tag@sha256:…`. Pure.
 *
 * `images.ts` asks before anything is looked for or pulled: a name that is none stays wrong however
 * often it is tried, and the pod says so with upstream's words.
 */

const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const host = `(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const tag = '[\\w][\\w.-]{0,127}';
const digest = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';
const path = `(?:${host}/)?${component}(?:/${component})*`;
const whole = new RegExp(`^${path}(?::${tag})?(?:@${digest})?$`);

/** Undefined when it is one. */
export function referenceProblem(image: string): string | undefined {
  if (/^[a-f0-9]{64}$/.test(image)) {
    return `invalid repository name (${image}), cannot specify 64-byte hexadecimal strings`;
  }
  const name = repositoryOf(image);
  if (name.toLowerCase() !== name) {
    return `invalid reference format: repository name (${name}) must be lowercase`;
  }
  return whole.test(image) ? undefined : 'invalid reference format';
}

/** Without registry and tag: `a/b` of `host:5000/a/b:1`; one of a single word is in `library`. */
function repositoryOf(image: string): string {
  const slash = image.indexOf('/');
  const first = slash < 0 ? '' : image.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first;
  const rest = isHost ? image.slice(slash + 1) : image;
  const colon = rest.indexOf(':');
  const name = colon < 0 ? rest : rest.slice(0, colon);
  return isHost || name.includes('/') ? name : `library/${name}`;
}
