/**
 * Who may use an image that is already here: those for whom it was pulled, and those who show what
 * it was pulled with. Otherwise the images that one tenant's password brought would be everybody's.
 *
 * The node keeps a record of each image that it pulled, with the Secrets and service accounts that
 * were good for it, and beforehand a note that a pull is under way; both are files in upstream's
 * place and form (`record-files.ts`). `mustPull` decides (pure) by record
 * and policy; without a record an image was there before, which by default is anybody's. Behaviour:
 * kubernetes.io, "Images", Ensure image pull credential verification. Asked by `images.ts`.
 */
import type { Logger } from '#kit/log.ts';
import type { KubeletSettings } from '../settings.ts';
import { parseImageName } from './image-name.ts';
import { type Coordinates, loginHash, type TrackedLogin } from './registry-logins.ts';

/** Records of more Secrets than this are not added to while they are only looked at. */
export const limits = { pullSecretsMax: 100 } as const;

export type VerificationSettings = Pick<
  KubeletSettings,
  'imagePullCredentialsVerificationPolicy' | 'preloadedImagesVerificationAllowlist'
>;

interface PullSecret extends Coordinates {
  readonly credentialHash: string;
}

/** What an image was pulled with. */
export interface PullCredentials {
  readonly kubernetesSecrets?: readonly PullSecret[];
  readonly kubernetesServiceAccounts?: readonly Coordinates[];
  readonly nodePodsAccessible?: boolean;
}

export interface PullRecord {
  readonly lastUpdatedTime: string;
  /** The runtime's id of the image. */
  readonly imageRef: string;
  /** By the image's name as pods write it, without tag and digest. */
  readonly credentialMapping?: Readonly<Record<string, PullCredentials>>;
}

export type Verdict =
  | { readonly pull: boolean }
  /** Good, and worth to be written down for the next time. */
  | { readonly pull: false; readonly learn: PullCredentials };

export interface VerificationFacts {
  readonly image: string;
  readonly record: PullRecord | undefined;
  /** A pull of this image began and nobody knows how it ended. */
  readonly isPulling: boolean;
}

/** Whether an image that is here has to be asked for with the pod's own logins first. Pure. */
export function needsLogins(
  { image, record, isPulling }: VerificationFacts,
  settings: VerificationSettings,
): boolean {
  const wasPulled = record !== undefined || isPulling;
  switch (settings.imagePullCredentialsVerificationPolicy) {
    case 'NeverVerify':
      return false;
    case 'NeverVerifyPreloadedImages':
      if (!wasPulled) return false;
      break;
    case 'NeverVerifyAllowlistedImages':
      if (isListed(plainName(image), settings.preloadedImagesVerificationAllowlist)) return false;
      break;
    case 'AlwaysVerify':
      break;
    default:
      settings.imagePullCredentialsVerificationPolicy satisfies never;
  }
  return record?.credentialMapping?.[plainName(image)]?.nodePodsAccessible !== true;
}

/** For images of which `needsLogins`. Pure. */
export function mustPull(
  { image, record }: Pick<VerificationFacts, 'image' | 'record'>,
  logins: readonly TrackedLogin[],
): Verdict {
  const known = record?.credentialMapping?.[plainName(image)];
  const { kubernetesSecrets = [], kubernetesServiceAccounts = [] } = known ?? {};
  for (const secret of logins.flatMap(pullSecret)) {
    for (const other of kubernetesSecrets) {
      const sameHash = secret.credentialHash === other.credentialHash;
      const samePlace = isSame(secret, other);
      if (!sameHash && !samePlace) continue;
      const isFull = kubernetesSecrets.length >= limits.pullSecretsMax;
      if (sameHash && (samePlace || isFull)) return { pull: false };
      if (!isFull) return { pull: false, learn: { kubernetesSecrets: [secret] } };
    }
  }
  const account = logins.flatMap(({ source }) => source.serviceAccount ?? [])[0];
  const isKnown =
    account !== undefined && kubernetesServiceAccounts.some((other) => isSame(other, account));
  return { pull: !isKnown };
}

/** What a pull with this login says; without one, anybody on the node may have the image. */
export function credentialsOf(login: TrackedLogin | undefined): PullCredentials {
  const secrets = login === undefined ? [] : pullSecret(login);
  if (secrets.length > 0) return { kubernetesSecrets: secrets };
  const account = login?.source.serviceAccount;
  if (account !== undefined) return { kubernetesServiceAccounts: [account] };
  return { nodePodsAccessible: true };
}

function pullSecret({ login, source }: TrackedLogin): readonly PullSecret[] {
  return source.secret === undefined
    ? []
    : [{ ...source.secret, credentialHash: loginHash(login) }];
}

/** The record with more in it; the same one where there is nothing new. Pure. */
function withCredentials(
  record: PullRecord | undefined,
  of: { readonly image: string; readonly imageRef: string; readonly nowMs: number },
  more: PullCredentials | undefined,
): PullRecord {
  const name = plainName(of.image);
  const lastUpdatedTime = new Date(Math.trunc(of.nowMs / 1000) * 1000)
    .toISOString()
    .replace('.000Z', 'Z');
  if (record === undefined) {
    const credentialMapping = more === undefined ? {} : { [name]: more };
    return { lastUpdatedTime, imageRef: of.imageRef, credentialMapping };
  }
  const known = record.credentialMapping?.[name];
  if (more === undefined || known?.nodePodsAccessible === true) return record;
  const merged = known === undefined ? more : mergeCredentials(known, more);
  if (merged === known) return record;
  const credentialMapping = { ...record.credentialMapping, [name]: merged };
  return { ...record, lastUpdatedTime, credentialMapping };
}

function mergeCredentials(known: PullCredentials, more: PullCredentials): PullCredentials {
  if (more.nodePodsAccessible === true) return { nodePodsAccessible: true };
  const secrets = merged(known.kubernetesSecrets, more.kubernetesSecrets);
  const accounts = merged(known.kubernetesServiceAccounts, more.kubernetesServiceAccounts);
  const next: PullCredentials = {
    ...(secrets.length === 0 ? {} : { kubernetesSecrets: secrets }),
    ...(accounts.length === 0 ? {} : { kubernetesServiceAccounts: accounts }),
  };
  return JSON.stringify(next) === JSON.stringify(known) ? known : next;
}

function merged<T extends Coordinates>(
  known: readonly T[] = [],
  more: readonly T[] = [],
): readonly T[] {
  const all = new Map([...known, ...more].map((each) => [sortKey(each), each]));
  return [...all.keys()].sort().flatMap((key) => all.get(key) ?? []);
}

function sortKey({ namespace, name, uid }: Coordinates): string {
  return [namespace, name, uid].join('\0');
}

function isSame(a: Coordinates, b: Coordinates): boolean {
  return sortKey(a) === sortKey(b);
}

function plainName(image: string): string {
  const name = parseImageName(image);
  return typeof name === 'string' ? image : name.given;
}

/** Undefined when it may stand in the list of images that are free for all. */
export function imagePatternProblem(pattern: string): string | undefined {
  if (pattern !== pattern.trim()) {
    return `leading/trailing spaces are not allowed: ${pattern}`;
  }
  const isFolder = pattern.endsWith('/*');
  const place = isFolder ? pattern.slice(0, -1) : pattern;
  if (place === '') return `the supplied pattern is too short: ${pattern}`;
  if (place.includes('*')) {
    return `not a valid wildcard pattern, only patterns ending with '/*' are allowed: ${pattern}`;
  }
  if (isFolder) return place === '/' ? 'at least registry hostname is required' : undefined;
  const name = parseImageName(place);
  if (typeof name === 'string') return `failed to parse as an image name: ${name}`;
  return name.given === place
    ? undefined
    : `neither tag nor digest is accepted in an image reference: ${pattern}`;
}

function isListed(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('/*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
}

const apiVersion = 'kubelet.config.k8s.io/v1beta1';

/** Small files in two folders. */
export interface RecordFiles {
  read(folder: RecordFolder): readonly unknown[];
  write(folder: RecordFolder, subject: string, content: object): void;
  remove(folder: RecordFolder, subject: string): void;
}

export type RecordFolder = 'pulled' | 'pulling';

/** The files, and a copy of them in memory. */
export class PullRecords {
  readonly #log: Logger;
  readonly #files: RecordFiles;
  readonly #records = new Map<string, PullRecord>();
  /** Images that are being pulled, and by how many; 0: by an earlier process. */
  readonly #pulling = new Map<string, number>();

  constructor({ log, files }: { readonly log: Logger; readonly files: RecordFiles }) {
    this.#log = log;
    this.#files = files;
    for (const record of files.read('pulled').filter(isRecord)) {
      this.#records.set(record.imageRef, record);
    }
    for (const { image } of files.read('pulling').filter(isIntent)) this.#pulling.set(image, 0);
  }

  recordOf(imageRef: string): PullRecord | undefined {
    return this.#records.get(imageRef);
  }

  isPulling(image: string): boolean {
    return this.#pulling.has(image);
  }

  /** Images whose pull an earlier process began. */
  unfinished(): readonly string[] {
    return [...this.#pulling].filter(([, count]) => count === 0).map(([image]) => image);
  }

  /** Throws when it cannot be written: then there must be no pull. */
  begin(image: string): void {
    const count = this.#pulling.get(image) ?? 0;
    this.#files.write('pulling', image, { kind: 'ImagePullIntent', apiVersion, image });
    this.#pulling.set(image, count + 1);
  }

  /** After a pull, however it ended. */
  end(image: string): void {
    const left = (this.#pulling.get(image) ?? 1) - 1;
    if (left > 0) this.#pulling.set(image, left);
    else {
      this.#pulling.delete(image);
      this.#files.remove('pulling', image);
    }
  }

  /** Without credentials: it was pulled by us, nobody knows for whom. */
  pulled(
    of: { readonly image: string; readonly imageRef: string; readonly nowMs: number },
    credentials: PullCredentials | undefined,
  ): void {
    const before = this.#records.get(of.imageRef);
    const record = withCredentials(before, of, credentials);
    if (record === before) return;
    this.#records.set(of.imageRef, record);
    const content = { kind: 'ImagePulledRecord', apiVersion, ...record };
    try {
      this.#files.write('pulled', of.imageRef, content);
    } catch (error) {
      this.#log.error('failed to write image pulled record', { imageRef: of.imageRef, error });
    }
  }

  /** Forgets images that are gone, unless they came after the look that missed them. */
  keepOnly(imageRefs: ReadonlySet<string>, lookedAtMs: number): void {
    for (const [imageRef, { lastUpdatedTime }] of this.#records) {
      // Times are kept in whole seconds.
      if (imageRefs.has(imageRef) || Date.parse(lastUpdatedTime) + 1000 > lookedAtMs) continue;
      this.#records.delete(imageRef);
      this.#files.remove('pulled', imageRef);
    }
  }
}

function isRecord(value: unknown): value is PullRecord {
  return typeof value === 'object' && value !== null && 'imageRef' in value && isDated(value);
}

function isDated(value: object): boolean {
  return 'lastUpdatedTime' in value && typeof value.lastUpdatedTime === 'string';
}

function isIntent(value: unknown): value is { readonly image: string } {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && 'image' in value && typeof value.image === 'string';
}
