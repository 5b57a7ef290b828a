/**
 * The volumes of a pod on this node: made ready before its containers, kept current, removed after.
 *
 * `prepare` is idempotent: it makes what is missing and rewrites ConfigMap, Secret and token files
 * that have changed, so the worker calls it again whenever an object changed or a token is due.
 * emptyDir lives in the pod's folder (or a tmpfs), hostPath is checked, the rest are small files
 * (`payload.ts`, `atomic-files.ts`). A claim leads to a folder of this node
 * (`persistent-volume.ts`). Other sorts of volume are refused.
 */
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { quantityValue } from '#api/quantity.ts';
import type { Client, Recorder } from '#client';
import type { Clock } from '#kit/clock.ts';
import { configMaps, secrets, serviceAccounts } from '#resources/kinds.ts';
import type { TokenRequest } from '#resources/types/authentication-v1.ts';
import type {
  EmptyDirVolumeSource,
  HostPathVolumeSource,
  Node,
  Pod,
  ServiceAccount,
  ServiceAccountTokenProjection,
  Volume,
} from '#resources/types/core-v1.ts';
import type { Machine } from '../node/machine.ts';
import { startOrder, usedVolumesOf } from '../pods/pod-facts.ts';
import { type KubeletPaths, podPaths } from '../pods/pod-paths.ts';
import { hugepagesIn, podCgroup } from '../pods/qos.ts';
import type { WatchedObjects } from '../watched-objects.ts';
import { writePayload } from './atomic-files.ts';
import { growClaim } from './claim-growth.ts';
import { LocalDevices } from './local-devices.ts';
import { giveToGroup } from './ownership.ts';
import {
  inOrder,
  needsOnlyTokens,
  type PayloadSources,
  payloadOf,
  VolumeError,
} from './payload.ts';
import { type BoundVolume, claimNameOf, findBoundVolume, groupOf } from './persistent-volume.ts';

export interface VolumesDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly machine: Machine;
  readonly recorder: Pick<Recorder, 'record'>;
  readonly objects: WatchedObjects;
  readonly paths: KubeletPaths;
  readonly hostIPs: readonly string[];
  readonly allocatable: () => Readonly<Record<string, string>>;
  readonly node: () => Node;
}

interface Token {
  readonly token: string;
  readonly refreshAtMs: number;
}

const tokenSecondsDefault = 3600;
/** Longest that a token is used before it is renewed, however long it is valid. */
const tokenAgeMsMax = 24 * 3_600_000;
/** Between two looks whether a claim that is in use has grown. */
const claimLookMs = 60_000;

export class Volumes {
  readonly #deps: VolumesDeps;
  /** By pod uid, then by volume and path. */
  readonly #tokens = new Map<string, Map<string, Token>>();
  /** By pod uid. */
  readonly #groups = new Map<string, Set<number>>();
  /** `uid/volume`: already given to the group of its pod. */
  readonly #given = new Set<string>();
  /** `uid/volume`: what is in it is the pod's own, not the host's, and may be labelled for it. */
  readonly #own = new Set<string>();
  /** By pod uid: when its claims are looked at again. */
  readonly #claimLooksMs = new Map<string, number>();
  readonly #devices: LocalDevices;
  #stamp = 0;

  constructor(deps: VolumesDeps) {
    this.#deps = deps;
    this.#devices = new LocalDevices(deps);
  }

  /** Where each volume is on the node, by name. */
  async prepare(
    pod: Pod,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<ReadonlyMap<string, string>> {
    // The runtime mounts images by itself.
    const volumes = usedVolumesOf(pod).filter(({ image }) => image === undefined);
    const folders = await inOrder(volumes, async (volume) => {
      try {
        return [volume.name, await this.#prepareOne(pod, volume, signal)] as const;
      } catch (error) {
        if (signal.aborted || !(error instanceof Error)) throw error;
        const text = `MountVolume.SetUp failed for volume "${volume.name}" : ${error.message}`;
        throw new VolumeError(text, { cause: error });
      }
    });
    return new Map(folders);
  }

  /** Nothing but the issuing of tokens holds up `prepare`, or makes it fail. */
  needsOnlyTokens(pod: Pod): boolean {
    const { namespace = '' } = pod.metadata;
    return needsOnlyTokens(pod, (name) =>
      this.#deps.objects.known(configMaps, { namespace, name }),
    );
  }

  /** When a token of this pod must be renewed, or one of its claims may have grown. */
  refreshAtMs(podUid: string): number | undefined {
    const tokens = [...(this.#tokens.get(podUid)?.values() ?? [])];
    const lookMs = this.#claimLooksMs.get(podUid);
    const times = tokens.map((token) => token.refreshAtMs);
    if (lookMs !== undefined) times.push(lookMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Whom volumes of the pod belong to, as their administrators say. */
  groupsOf(podUid: string): readonly number[] {
    return [...(this.#groups.get(podUid) ?? [])];
  }

  /** Volumes of which the files may be labelled for the pod (SELinux), by name. */
  labelledOf({ metadata, spec }: Pod): ReadonlySet<string> {
    const names = (spec?.volumes ?? []).map(({ name }) => name);
    return new Set(names.filter((name) => this.#own.has(`${metadata.uid}/${name}`)));
  }

  #noteGroup(pod: Pod, group: number | undefined): void {
    if (group === undefined) return;
    const { uid = '' } = pod.metadata;
    this.#groups.set(uid, (this.#groups.get(uid) ?? new Set()).add(group));
  }

  /** Takes down everything that `prepare` made for the pod. */
  async remove(pod: Pod, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { machine, paths, objects } = this.#deps;
    const { uid = '' } = pod.metadata;
    const { dir, subPaths, volumes, memoryVolumes } = podPaths(paths, pod);
    this.#tokens.delete(uid);
    this.#groups.delete(uid);
    this.#claimLooksMs.delete(uid);
    for (const { name } of pod.spec?.volumes ?? []) {
      this.#given.delete(`${uid}/${name}`);
      this.#own.delete(`${uid}/${name}`);
    }
    objects.release(uid);
    await machine.unmountBelow(dir, { signal });
    for (const folder of [subPaths, memoryVolumes, volumes]) machine.removeFolder(folder);
  }

  async #prepareOne(pod: Pod, volume: Volume, signal: AbortSignal): Promise<string> {
    if (volume.hostPath !== undefined) return checkHostPath(volume.hostPath);
    if (claimNameOf(pod, volume) !== undefined) return this.#preparePersistent(pod, volume, signal);
    this.#own.add(`${pod.metadata.uid}/${volume.name}`);
    const { volumes, emptyDirs, memoryVolumes } = podPaths(this.#deps.paths, pod);
    if (volume.emptyDir !== undefined) {
      const folder = join(emptyDirs, volume.name);
      await this.#prepareEmptyDir(pod, volume.emptyDir, folder, signal);
      return folder;
    }
    const payload = await payloadOf(pod, volume, this.#sources(pod, volume, signal));
    if (volume.gitRepo !== undefined) {
      throw new VolumeError(
        'git-repo volume plugin has been disabled; if necessary, ' +
          'it may be re-enabled by enabling the feature-gate `GitRepoVolumeDriver`',
      );
    }
    if (payload === undefined) {
      const sort = Object.keys(volume).find((key) => key !== 'name') ?? 'unknown';
      throw new VolumeError(`volumes of type ${sort} are not supported`);
    }
    const isSecret = volume.secret !== undefined || volume.projected !== undefined;
    const folder = join(isSecret ? memoryVolumes : volumes, volume.name);
    const { fsGroup } = pod.spec?.securityContext ?? {};
    this.#stamp += 1;
    const files = new Map(
      [...payload].map(([path, { mode, ...file }]) => {
        // What belongs to the group must be readable by it.
        return [path, { ...file, mode: fsGroup === undefined ? mode : mode | 0o440 }] as const;
      }),
    );
    writePayload(folder, files, {
      stamp: stampOf(this.#deps.clock.now(), this.#stamp),
      gid: fsGroup,
    });
    return folder;
  }

  async #preparePersistent(pod: Pod, volume: Volume, signal: AbortSignal): Promise<string> {
    const bound = await findBoundVolume(this.#deps, pod, volume, { signal });
    this.#noteGroup(pod, groupOf(bound.volume));
    const folder = await this.#prepareFound(pod, volume, bound, signal);
    const isReadOnly = volume.persistentVolumeClaim?.readOnly === true;
    if (isReadOnly || 'hostPath' in bound.source) return folder;
    const { uid = '' } = pod.metadata;
    this.#own.add(`${uid}/${volume.name}`);
    this.#claimLooksMs.set(uid, this.#deps.clock.now() + claimLookMs);
    await growClaim(this.#deps, bound, { pod, folder, signal });
    return folder;
  }

  async #prepareFound(
    pod: Pod,
    volume: Volume,
    { source, volume: found }: BoundVolume,
    signal: AbortSignal,
  ): Promise<string> {
    // As upstream, which leaves the owners of what belongs to the host alone.
    if ('hostPath' in source) return checkHostPath(source.hostPath);
    if ('devicePath' in source) return source.devicePath;
    const { name = '' } = found.metadata;
    const folder =
      'localPath' in source
        ? source.localPath
        : await this.#devices.mount(
            join(podPaths(this.#deps.paths, pod).volumes, 'kubernetes.io~local-volume', name),
            source.localDevice,
            { signal },
          );
    const { fsGroup: gid, fsGroupChangePolicy: policy } = pod.spec?.securityContext ?? {};
    const key = `${pod.metadata.uid}/${volume.name}`;
    if (gid !== undefined && !this.#given.has(key)) {
      const isReadOnly = volume.persistentVolumeClaim?.readOnly === true;
      await giveToGroup(folder, { gid, isReadOnly, policy, signal });
      this.#given.add(key);
    }
    return folder;
  }

  #sources(pod: Pod, volume: Volume, signal: AbortSignal): PayloadSources {
    const { objects, hostIPs, allocatable } = this.#deps;
    const { namespace = '', uid = '' } = pod.metadata;
    return {
      configMap: (name) => objects.get(configMaps, { namespace, name }, uid, { signal }),
      secret: (name) => objects.get(secrets, { namespace, name }, uid, { signal }),
      token: (projection) => this.#token(pod, volume.name, projection, signal),
      addresses: { podIPs: [], hostIPs },
      allocatable: allocatable(),
    };
  }

  /** Asked for anew when 80 % of its time is over. */
  async #token(
    pod: Pod,
    volumeName: string,
    projection: ServiceAccountTokenProjection,
    signal: AbortSignal,
  ): Promise<string> {
    const { client, clock } = this.#deps;
    const { name = '', namespace = '', uid = '' } = pod.metadata;
    const tokens = this.#tokens.get(uid) ?? new Map<string, Token>();
    this.#tokens.set(uid, tokens);
    const key = `${volumeName}/${projection.path}`;
    const known = tokens.get(key);
    if (known !== undefined && known.refreshAtMs > clock.now()) return known.token;
    const expirationSeconds = projection.expirationSeconds ?? tokenSecondsDefault;
    const request: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: {
        audiences: projection.audience === undefined ? [] : [projection.audience],
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    };
    const account = pod.spec?.serviceAccountName ?? 'default';
    const issued = await client.createSubresource<ServiceAccount, TokenRequest, TokenRequest>(
      serviceAccounts,
      { namespace, name: account },
      'token',
      request,
      { signal },
    );
    const token = issued.status?.token;
    if (token === undefined) throw new VolumeError(`no token for service account ${account}`);
    const seconds = issued.spec?.expirationSeconds ?? expirationSeconds;
    const ageMs = Math.min(seconds * 800, tokenAgeMsMax);
    tokens.set(key, { token, refreshAtMs: clock.now() + ageMs });
    return token;
  }

  async #prepareEmptyDir(
    pod: Pod,
    { medium, sizeLimit }: EmptyDirVolumeSource,
    folder: string,
    signal: AbortSignal,
  ): Promise<void> {
    const isNew = statSync(folder, { throwIfNoEntry: false }) === undefined;
    mkdirSync(folder, { recursive: true });
    if (medium === 'Memory' && !this.#deps.machine.isMounted(folder)) {
      const sizeBytes = memoryBytesOf(pod, sizeLimit, this.#deps.allocatable());
      await this.#deps.machine.mountTmpfs(folder, { sizeBytes, signal });
    } else if (isHugePages(medium) && !this.#deps.machine.isMounted(folder)) {
      const pageSize = pageSizeOf(pod, medium ?? '');
      await this.#deps.machine.mountHugepages(folder, { pageSize, signal });
    } else if (!isNew) {
      return;
    }
    const { fsGroup } = pod.spec?.securityContext ?? {};
    if (fsGroup !== undefined) chownSync(folder, 0, fsGroup);
    // As a file system in memory begins: only the owner of a file may remove it.
    const sticky = medium === 'Memory' ? 0o1000 : 0;
    chmodSync(folder, sticky | (fsGroup === undefined ? 0o777 : 0o2777));
  }
}

/** The least of what the volume may have, what the pod may have and what the node has to give. */
function memoryBytesOf(
  pod: Pod,
  sizeLimit: string | undefined,
  allocatable: Readonly<Record<string, string>>,
): number | undefined {
  const { memoryLimitBytes } = podCgroup(pod);
  const volume = sizeLimit === undefined ? undefined : quantityValue(sizeLimit);
  const all = [quantityValue(allocatable['memory'] ?? '0'), memoryLimitBytes, volume];
  const known = all.filter((bytes) => bytes !== undefined && bytes > 0);
  return known.length === 0 ? undefined : Math.min(...known.map(Number));
}

function isHugePages(medium: string | undefined): boolean {
  return medium?.startsWith('HugePages') === true;
}

/** `2Mi`: named by the medium, or the only size that the pod asks for. */
function pageSizeOf(pod: Pod, medium: string): string {
  const named = medium.slice('HugePages-'.length);
  const asked = new Set(
    startOrder(pod)
      .flatMap(({ resources }) => hugepagesIn(resources?.requests ?? {}))
      .map((name) => name.slice('hugepages-'.length)),
  );
  if (named === '' && asked.size > 1) {
    throw new VolumeError(
      `medium: ${medium} can't be used if container requests multiple huge page sizes`,
    );
  }
  const [only] = asked;
  const found = named === '' ? only : [...asked].find((size) => size === named);
  if (found !== undefined) return found;
  throw new VolumeError(
    `hugePages storage requested, but there is no resource request for huge pages`,
  );
}

/** The runtime would silently make a folder of a path that is missing, so it is looked at first. */
function checkHostPath({ path, type = '' }: HostPathVolumeSource): string {
  const fail = (what: string): never => {
    throw new VolumeError(`hostPath type check failed: ${path} is not ${what}`);
  };
  const found = statSync(path, { throwIfNoEntry: false });
  switch (type) {
    case '':
      break;
    case 'DirectoryOrCreate':
      if (found === undefined) mkdirSync(path, { recursive: true, mode: 0o755 });
      else if (!found.isDirectory()) fail('a directory');
      break;
    case 'Directory':
      if (found?.isDirectory() !== true) fail('a directory');
      break;
    case 'FileOrCreate':
      if (found === undefined) writeFileSync(path, '', { mode: 0o644 });
      else if (!found.isFile()) fail('a file');
      break;
    case 'File':
      if (found?.isFile() !== true) fail('a file');
      break;
    case 'Socket':
      if (found?.isSocket() !== true) fail('a socket file');
      break;
    case 'CharDevice':
      if (found?.isCharacterDevice() !== true) fail('a character device');
      break;
    case 'BlockDevice':
      if (found?.isBlockDevice() !== true) fail('a block device');
      break;
    default:
      fail(`of a known type (${type})`);
  }
  return path;
}

/** `2026_11_21_12_12_03.167000064`: the time, and the number of the write. */
function stampOf(nowMs: number, count: number): string {
  const [seconds = '', fraction = ''] = new Date(nowMs).toISOString().split('.');
  const milliseconds = fraction.slice(0, 3);
  return `${seconds.replaceAll(/[-T:]/g, '_')}.${milliseconds}${String(count).padStart(6, '0')}`;
}
