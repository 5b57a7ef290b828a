/**
 * Which user name and password a registry is shown for an image: from the pod's
 * `imagePullSecrets`. Pure; `start-container.ts` reads the Secrets, `images.ts` pulls with what is
 * found here.
 *
 * A Secret holds the client's own file of logins, by registry: `registry.example.com:5000/team`. An
 * entry fits an image whose name begins with it, part by part; `*` stands for one label of a host's
 * name. The entry that says most comes first; if the registry refuses one, the next is tried.
 */
import type { Secret } from '#resources/types/core-v1.ts';

export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
}

interface Entry {
  /** Host, with port if it has one, then path. */
  readonly place: string;
  readonly login: RegistryLogin;
}

const defaultHost = 'docker.io';

/** The logins that fit the image, the most particular first. */
export function loginsFor(image: string, secrets: readonly Secret[]): readonly RegistryLogin[] {
  const target = imagePlace(image);
  return secrets
    .flatMap(entriesOf)
    .filter(({ place }) => fits(place, target))
    .toSorted((a, b) => b.place.length - a.place.length)
    .map(({ login }) => login);
}

/** `nginx` is `docker.io/library/nginx`; tag and digest do not count. */
export function imagePlace(image: string): string {
  const name = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  const [first = '', ...rest] = name.split('/');
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  if (isHost) return name;
  return `${defaultHost}/${rest.length === 0 ? `library/${name}` : name}`;
}

function entriesOf({ type, data = {} }: Secret): readonly Entry[] {
  const isModern = type === 'kubernetes.io/dockerconfigjson';
  const text = data[isModern ? '.dockerconfigjson' : '.dockercfg'];
  if (text === undefined) return [];
  const json = parseObject(Buffer.from(text, 'base64').toString());
  const auths = isModern ? json['auths'] : json;
  if (typeof auths !== 'object' || auths === null) return [];
  return Object.entries(auths).flatMap(([key, value]) => {
    const login = loginOf(value);
    return login === undefined ? [] : [{ place: registryPlace(key), login }];
  });
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
  const username = String(given['username'] ?? (colon < 0 ? '' : both.slice(0, colon)));
  const password = String(given['password'] ?? (colon < 0 ? '' : both.slice(colon + 1)));
  const identityToken = String(given['identitytoken'] ?? '');
  if (username === '' && identityToken === '') return undefined;
  return { username, password, identityToken };
}

/** `https://index.docker.io/v1/` is what clients have always written for the default registry. */
function registryPlace(key: string): string {
  const place = key
    .replace(/^https?:\/\//, '')
    .replace(/\/+$/, '')
    .replace(/\/v[12]$/, '');
  return place === 'index.docker.io' ? defaultHost : place;
}

function fits(place: string, target: string): boolean {
  const [host = '', ...path] = place.split('/');
  const [targetHost = '', ...targetPath] = target.split('/');
  if (!path.every((part, index) => targetPath[index] === part)) return false;
  const labels = host.split('.');
  const targetLabels = targetHost.split('.');
  return (
    labels.length === targetLabels.length &&
    labels.every((label, index) => labelFits(label, targetLabels[index] ?? ''))
  );
}

function labelFits(pattern: string, label: string): boolean {
  if (!pattern.includes('*')) return pattern === label;
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$+?.()|[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(label);
}
