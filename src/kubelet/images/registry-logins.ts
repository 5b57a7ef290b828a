/**
 * Which user names and passwords a registry is shown for an image: from the pod's
 * `imagePullSecrets`, then those of the node, then those that plugins give. Pure; `pull-logins.ts`
 * collects, `images.ts` pulls with what is found here.
 *
 * All three have the form of a container client's file of logins, by place:
 * `registry.example.com:5000/team`. An entry fits an image whose repository begins with it; in the
 * host `*`, `?` and `[a-z]` stand for parts of one label. Where several fit, all are tried, in the
 * reverse order of their places, so that the one that says most comes first. Behaviour:
 * kubernetes.io, "Images", interpretation of config.json.
 */
import { createHash } from 'node:crypto';
import type { Secret } from '#resources/types/core-v1.ts';

export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
}

export interface Coordinates {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
}

/** Whose it is; neither: anybody's on the node. */
export interface LoginSource {
  readonly secret?: Coordinates;
  readonly serviceAccount?: Coordinates;
}

/** Something that one may try, and whose it is. */
export interface TrackedLogin {
  readonly login: RegistryLogin;
  readonly source: LoginSource;
}

/** Logins by place. */
export type LoginFile = ReadonlyMap<string, RegistryLogin>;

const hubHost = 'docker.io';
const hubKey = 'index.docker.io';

/** Those that fit, the most particular first. `repository` as `image-name.ts` gives it. */
export function fittingLogins(
  repository: string,
  files: readonly { readonly file: LoginFile; readonly source: LoginSource }[],
): readonly TrackedLogin[] {
  const byPlace = new Map<string, TrackedLogin[]>();
  for (const { file, source } of files) {
    for (const [key, login] of file) {
      const place = placeOf(key);
      byPlace.set(place, [...(byPlace.get(place) ?? []), { login, source }]);
    }
  }
  const fitting = [...byPlace.keys()].filter((place) => fits(place, repository)).sort();
  if (fitting.length > 0) return fitting.reverse().flatMap((place) => byPlace.get(place) ?? []);
  return repository.startsWith(`${hubHost}/`) ? (byPlace.get(hubKey) ?? []) : [];
}

/** Secrets of another type, and those without a readable file, have no logins. */
export function secretLogins(secret: Secret): LoginFile {
  const { type, data = {} } = secret;
  const isModern = type === 'kubernetes.io/dockerconfigjson';
  const text = data[isModern ? '.dockerconfigjson' : '.dockercfg'];
  if (text === undefined) return new Map();
  return parseLoginFile(Buffer.from(text, 'base64').toString(), { isModern });
}

/** `isModern`: `config.json`, with everything below `auths`; else the older `.dockercfg`. */
export function parseLoginFile(text: string, options: { readonly isModern: boolean }): LoginFile {
  const json = parseObject(text);
  const auths = options.isModern ? json['auths'] : json;
  if (typeof auths !== 'object' || auths === null) return new Map();
  return new Map(
    Object.entries(auths).flatMap(([key, value]) => {
      const login = loginOf(value);
      return login === undefined ? [] : [[key, login] as const];
    }),
  );
}

/** The same for the same login, and says nothing of it. */
export function loginHash({ username, password, identityToken }: RegistryLogin): string {
  const more = identityToken === '' ? {} : { identitytoken: identityToken };
  return createHash('sha256')
    .update(JSON.stringify({ username, password, ...more }))
    .digest('hex');
}

/** Whether an image's repository is one of those that a pattern means: host by host part. */
export function fits(pattern: string, repository: string): boolean {
  const [wanted, given] = [splitPlace(pattern), splitPlace(repository)];
  return (
    wanted.port === given.port &&
    wanted.labels.length === given.labels.length &&
    given.path.startsWith(wanted.path) &&
    wanted.labels.every((label, index) => labelFits(label, given.labels[index] ?? ''))
  );
}

/** What users write themselves need not be JSON; then there is no login in it. */
function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    // Parse boundary: members are checked where they are used.
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

function loginOf(value: unknown): RegistryLogin | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  // Parse boundary: each member is made a text below.
  const given = value as Readonly<Record<string, unknown>>;
  const both = Buffer.from(String(given['auth'] ?? ''), 'base64').toString();
  const colon = both.indexOf(':');
  const username = colon < 0 ? String(given['username'] ?? '') : both.slice(0, colon);
  const password = colon < 0 ? String(given['password'] ?? '') : both.slice(colon + 1);
  const identityToken = String(given['identitytoken'] ?? '');
  if (username === '' && identityToken === '') return undefined;
  return { username, password, identityToken };
}

/** `https://index.docker.io/v1/` is what clients have always written for the default registry. */
function placeOf(key: string): string {
  const [host = '', ...rest] = key.replace(/^https?:\/\//, '').split('/');
  const path = rest.length === 0 ? '' : `/${rest.join('/')}`.replace(/^\/v[12]\//, '/');
  return path === '/' ? host : `${host}${path}`;
}

function splitPlace(place: string) {
  const slash = place.indexOf('/');
  const authority = slash < 0 ? place : place.slice(0, slash);
  const [, host = authority, port = ''] = /^(.*):(\d+)$/.exec(authority) ?? [];
  return { labels: host.split('.'), port, path: slash < 0 ? '' : place.slice(slash) };
}

function labelFits(pattern: string, label: string): boolean {
  if (!/[*?[]/.test(pattern)) return pattern === label;
  const source = pattern
    .replace(/[\\^$+.()|{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  try {
    return new RegExp(`^${source}$`).test(label);
  } catch (error) {
    // `[` without its end: fits nothing.
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
