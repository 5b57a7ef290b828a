/**
 * ResourceClaims of the pods on this node: their devices are prepared before a pod begins, and
 * given back when nothing of it runs any more.
 *
 * What was prepared, and for whom, is kept in a checkpoint before any driver is asked: after a
 * crash each claim of a pod that is gone is still given back (looked at once a minute, too).
 * Preparing may be repeated; several pods may share a claim, which is given back with the last.
 * `claim-drivers.ts` has the drivers. Texts are upstream's.
 */
import type { Client } from '#client';
import type { Clock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import { GrpcError } from '#kit/grpc.ts';
import type { Logger } from '#kit/log.ts';
import { resourceClaims } from '#resources/kinds.ts';
import type {
  Container,
  Pod,
  PodResourceClaim,
  ResourceHealth,
  ResourceStatus,
} from '#resources/types/core-v1.ts';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { Checkpoint } from './checkpoint.ts';
import type { ClaimDrivers, ClaimPlugin } from './claim-drivers.ts';
import { rpcText } from './device-manager.ts';
import { claimCalls, type Received, type Sent } from './messages.ts';

const limits = { callMs: 45_000 } as const;

type ClaimDevice = Received<'ClaimDevice'>;

interface Kept {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly podUids: readonly string[];
  readonly drivers: Readonly<Record<string, readonly ClaimDevice[]>>;
}

interface Claim extends Kept {
  /** By this kubelet, since it started. */
  readonly isPrepared: boolean;
}

export interface ClaimsDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly drivers: ClaimDrivers;
}

/** Why a claim cannot be prepared now; the pod waits and it is tried again. */
class ClaimError extends Error {}

export class Claims {
  readonly #deps: ClaimsDeps;
  readonly #checkpoint: Checkpoint<readonly Kept[]>;
  /** By `namespace/name`. */
  readonly #claims = new Map<string, Claim>();

  constructor(deps: ClaimsDeps, { path }: { readonly path: string }) {
    this.#deps = deps;
    this.#checkpoint = new Checkpoint(path, deps.log);
    for (const kept of this.#checkpoint.read() ?? []) {
      this.#set({ ...kept, isPrepared: false });
    }
  }

  async prepare(pod: Pod, signal: AbortSignal): Promise<void> {
    const uid = pod.metadata.uid ?? '';
    const batches = new Map<ClaimPlugin, Sent<'Claim'>[]>();
    const begun: string[] = [];
    const found: (readonly [ResourceClaim, ReadonlyMap<string, ClaimPlugin>])[] = [];
    for (const wanted of claimsOf(pod)) {
      const name = claimName(pod, wanted);
      if (name === undefined) continue;
      const claim = await this.#read(pod, wanted, name, signal);
      found.push([claim, this.#pluginsOf(claim)]);
    }
    for (const [{ metadata }, plugins] of found) {
      const { namespace = '', name = '', uid: claimUid = '' } = metadata;
      const key = `${namespace}/${name}`;
      const known = this.#claims.get(key);
      if (known !== undefined && known.uid !== claimUid) {
        throw new ClaimError(
          `old ResourceClaim with same name ${name} and different UID ${known.uid} still exists ` +
            '(previous pod force-deleted?!)',
        );
      }
      const drivers = Object.fromEntries([...plugins.keys()].map((driver) => [driver, []]));
      const fresh = { uid: claimUid, name, namespace, drivers, podUids: [], isPrepared: false };
      const claim: Claim = known ?? fresh;
      this.#set({ ...claim, podUids: [...new Set([...claim.podUids, uid])] });
      if (claim.isPrepared) continue;
      begun.push(key);
      for (const plugin of plugins.values()) {
        const batch = batches.get(plugin) ?? [];
        batches.set(plugin, [...batch, { namespace, name, uid: claimUid }]);
      }
    }
    if (found.length > 0) this.#write();
    for (const [plugin, claims] of batches) await this.#prepareBatch(plugin, claims, signal);
    for (const key of begun) {
      const claim = this.#claims.get(key);
      if (claim !== undefined) this.#set({ ...claim, isPrepared: true });
    }
    if (begun.length > 0) this.#write();
  }

  async #read(
    pod: Pod,
    wanted: PodResourceClaim,
    name: string,
    signal: AbortSignal,
  ): Promise<ResourceClaim> {
    const { namespace = '', uid } = pod.metadata;
    const claim = await this.#deps.client
      .get(resourceClaims, { namespace, name }, { signal })
      .catch((cause: unknown) => {
        const why = messageOf(cause);
        throw new ClaimError(`fetch ResourceClaim ${name}: ${why}`, { cause });
      });
    const owner = claim.metadata.ownerReferences?.find(({ controller }) => controller === true);
    if (wanted.resourceClaimTemplateName !== undefined && owner?.uid !== uid) {
      throw new ClaimError(
        `ResourceClaim ${namespace}/${name} was not created for Pod ` +
          `${namespace}/${pod.metadata.name} (Pod is not owner)`,
      );
    }
    if (claim.status?.reservedFor?.some((user) => user.uid === uid) !== true) {
      throw new ClaimError(
        `pod ${pod.metadata.name} (${uid}) is not allowed to use ResourceClaim ${name} ` +
          `(${claim.metadata.uid})`,
      );
    }
    return claim;
  }

  #pluginsOf({ metadata, status }: ResourceClaim): ReadonlyMap<string, ClaimPlugin> {
    if (status?.allocation === undefined) {
      throw new ClaimError(`ResourceClaim ${metadata.name}: not allocated`);
    }
    const results = status.allocation.devices?.results ?? [];
    const drivers = new Set(results.map(({ driver }) => driver));
    return new Map([...drivers].map((driver) => [driver, this.#pluginOf(driver)]));
  }

  #pluginOf(driver: string): ClaimPlugin {
    const plugin = this.#deps.drivers.find(driver);
    if (plugin === undefined) throw new ClaimError(`DRA driver ${driver} is not registered`);
    return plugin;
  }

  async #prepareBatch(
    plugin: ClaimPlugin,
    claims: readonly Sent<'Claim'>[],
    signal: AbortSignal,
  ): Promise<void> {
    const call = 'NodePrepareResources';
    const { prepare } = claimCalls(plugin.service);
    const answer = await plugin.channel
      .unary(prepare.client, { claims }, { signal, timeoutMs: limits.callMs })
      .catch((error: unknown) => failed(call, error));
    for (const { claim, result } of matched(call, claims, answer.claims)) {
      const key = `${claim.namespace}/${claim.name}`;
      const known = this.#claims.get(key);
      if (known === undefined) continue;
      this.#set({ ...known, drivers: { ...known.drivers, [plugin.driver]: result.devices } });
    }
  }

  /** Nothing of the pod runs any more. */
  async unprepare(podUid: string, signal: AbortSignal): Promise<void> {
    const last: Claim[] = [];
    for (const claim of this.#claims.values()) {
      if (!claim.podUids.includes(podUid)) continue;
      const others = claim.podUids.filter((uid) => uid !== podUid);
      if (others.length > 0) this.#set({ ...claim, podUids: others });
      else last.push(claim);
    }
    const batches = new Map<string, Sent<'Claim'>[]>();
    for (const { namespace, name, uid, drivers } of last) {
      for (const driver of Object.keys(drivers)) {
        batches.set(driver, [...(batches.get(driver) ?? []), { namespace, name, uid }]);
      }
    }
    for (const [driver, claims] of batches) {
      const plugin = this.#pluginOf(driver);
      const call = 'NodeUnprepareResources';
      const answer = await plugin.channel
        .unary(
          claimCalls(plugin.service).unprepare.client,
          { claims },
          { signal, timeoutMs: limits.callMs },
        )
        .catch((error: unknown) => failed(call, error));
      matched(call, claims, answer.claims);
    }
    for (const { namespace, name } of last) this.#claims.delete(`${namespace}/${name}`);
    this.#write();
  }

  hasPod(podUid: string): boolean {
    return [...this.#claims.values()].some(({ podUids }) => podUids.includes(podUid));
  }

  /** Pods that have ended while nobody could give back what was theirs. */
  async reconcile(active: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const uids = new Set([...this.#claims.values()].flatMap(({ podUids }) => podUids));
    for (const uid of uids.difference(active)) {
      try {
        await this.unprepare(uid, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        this.#deps.log.warn('cannot give back the claims of a pod that is gone', { uid, error });
      }
    }
  }

  podsOf(driver: string): readonly string[] {
    const mine = [...this.#claims.values()].filter(({ drivers }) => driver in drivers);
    return [...new Set(mine.flatMap(({ podUids }) => podUids))];
  }

  /** Names of CDI devices for this container. */
  cdiDevices(pod: Pod, container: Container): readonly string[] {
    const names: string[] = [];
    for (const { claim: name, request } of requestsOf(pod, container)) {
      const claim = this.#claims.get(`${pod.metadata.namespace}/${name}`);
      if (claim === undefined) {
        throw new ClaimError(
          `internal error: unable to get claim info for ResourceClaim ${name} in namespace ` +
            `${pod.metadata.namespace}`,
        );
      }
      for (const devices of Object.values(claim.drivers)) {
        for (const { requestNames, cdiDeviceIds } of devices) {
          if (isFor(request, requestNames)) names.push(...cdiDeviceIds);
        }
      }
    }
    return [...new Set(names)];
  }

  /** For the pod resources API: whole claims of which the container has something. */
  dynamicResources(pod: Pod, container: Container): readonly Sent<'DynamicResource'>[] {
    const names = new Set(requestsOf(pod, container).map(({ claim }) => claim));
    return [...names].flatMap((name) => {
      const claim = this.#claims.get(`${pod.metadata.namespace}/${name}`);
      if (claim === undefined) return [];
      const claimResources = Object.entries(claim.drivers).flatMap(([driverName, devices]) =>
        devices.map(({ cdiDeviceIds, poolName, deviceName, shareId }) => ({
          cdiDevices: cdiDeviceIds.map((id) => ({ name: id })),
          ...{ driverName, poolName, deviceName, shareId },
        })),
      );
      return [{ claimName: claim.name, claimNamespace: claim.namespace, claimResources }];
    });
  }

  statuses(pod: Pod, container: Container): readonly ResourceStatus[] {
    const statuses = (container.resources?.claims ?? []).map(({ name, request }) => {
      const wanted = pod.spec?.resourceClaims?.find((each) => each.name === name);
      const of = wanted === undefined ? undefined : foundName(pod, wanted);
      const claim = this.#claims.get(`${pod.metadata.namespace}/${of}`);
      const found = new Map<string, ResourceHealth>();
      for (const [driver, devices] of Object.entries(claim?.drivers ?? {})) {
        for (const device of devices) {
          if (!isFor(baseRequest(request), device.requestNames)) continue;
          const health = this.#healthOf(driver, device);
          if (!found.has(health.resourceID)) found.set(health.resourceID, health);
        }
      }
      const suffix = request === undefined || request === '' ? '' : `/${request}`;
      return { name: `claim:${name}${suffix}`, resources: [...found.values()] };
    });
    return statuses.filter(({ resources }) => resources.length > 0);
  }

  #healthOf(driver: string, { poolName, deviceName, cdiDeviceIds }: ClaimDevice): ResourceHealth {
    const { health, message } = this.#deps.drivers.healthOf(driver, poolName, deviceName);
    const resourceID = cdiDeviceIds[0] ?? `${driver}/${poolName}/${deviceName}`;
    return { resourceID, health, ...(message === '' ? {} : { message }) };
  }

  #set(claim: Claim): void {
    this.#claims.set(`${claim.namespace}/${claim.name}`, claim);
  }

  #write(): void {
    const kept = [...this.#claims.values()].map(({ isPrepared: _, ...claim }) => claim);
    this.#checkpoint.write(kept);
  }
}

const extended = 'extended-resources';

function claimsOf({ spec, status }: Pod): readonly PodResourceClaim[] {
  const own = spec?.resourceClaims ?? [];
  const resourceClaimName = status?.extendedResourceClaimStatus?.resourceClaimName;
  return resourceClaimName === undefined ? own : [...own, { name: extended, resourceClaimName }];
}

/** Undefined: there is nothing to claim. */
function claimName(pod: Pod, wanted: PodResourceClaim): string | undefined {
  if (wanted.resourceClaimName !== undefined) return wanted.resourceClaimName;
  const found = pod.status?.resourceClaimStatuses?.find(({ name }) => name === wanted.name);
  if (found !== undefined) return found.resourceClaimName;
  const { namespace, name } = pod.metadata;
  throw new ClaimError(`pod "${namespace}/${name}": ResourceClaim not created yet`);
}

function foundName(pod: Pod, wanted: PodResourceClaim): string | undefined {
  const found = pod.status?.resourceClaimStatuses?.find(({ name }) => name === wanted.name);
  return wanted.resourceClaimName ?? found?.resourceClaimName;
}

interface ClaimRequest {
  /** The claim's real name. */
  readonly claim: string;
  /** Empty: all of it. */
  readonly request: string;
}

function requestsOf(pod: Pod, container: Container): readonly ClaimRequest[] {
  const found: ClaimRequest[] = [];
  for (const { name, request = '' } of container.resources?.claims ?? []) {
    const wanted = pod.spec?.resourceClaims?.find((each) => each.name === name);
    const claim = wanted === undefined ? undefined : foundName(pod, wanted);
    if (claim !== undefined) found.push({ claim, request });
  }
  const { resourceClaimName, requestMappings = [] } = pod.status?.extendedResourceClaimStatus ?? {};
  for (const { containerName, requestName } of requestMappings) {
    if (containerName !== container.name || resourceClaimName === undefined) continue;
    found.push({ claim: resourceClaimName, request: requestName });
  }
  return found;
}

function isFor(request: string, requestNames: readonly string[]): boolean {
  return request === '' || requestNames.length === 0 || requestNames.includes(request);
}

/** `request/subrequest` is a choice within `request`. */
function baseRequest(request: string | undefined): string {
  return request?.split('/')[0] ?? '';
}

function failed(call: string, error: unknown): never {
  if (!(error instanceof GrpcError)) throw error;
  throw new ClaimError(`${call}: ${rpcText(error)}`, { cause: error });
}

/** A driver answers for each claim that it was asked about, and for no other. */
function matched<Result extends { readonly error: string }>(
  call: string,
  claims: readonly Sent<'Claim'>[],
  results: Readonly<Record<string, Result>>,
): readonly { readonly claim: Sent<'Claim'>; readonly result: Result }[] {
  const found = Object.entries(results).map(([uid, result]) => {
    const claim = claims.find((each) => each.uid === uid);
    if (claim === undefined) {
      throw new ClaimError(`${call} returned result for unknown claim UID ${uid}`);
    }
    if (result.error !== '') {
      throw new ClaimError(`${call} failed for ResourceClaim ${claim.name}: ${result.error}`);
    }
    return { claim, result };
  });
  const skipped = claims.length - found.length;
  if (skipped > 0) throw new ClaimError(`${call} skipped ${skipped} ResourceClaims`);
  return found;
}
