/**
 * Keeps the books of addresses and ports true: compares them with the Services when the server
 * opens and some minutes after anything has changed (`plan-repair.ts` decides), mends what it finds
 * and says so in events and in the log.
 */
import { isReason } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { formatTime } from '#kit/clock.ts';
import { nameSuffix } from '#kit/random.ts';
import type { Service } from '#resources/types/core-v1.ts';
import type { IPAddress } from '#resources/types/networking-v1.ts';
import { type Store, StoreUnavailable } from '#store';
import { ownIdentity } from '../auth/own-identity.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, registryRoot } from '../registry.ts';
import { createObject } from '../verbs/create.ts';
import { isWithin, type Owner, serviceCIDRs, spanOf } from './addresses.ts';
import { portOwner, portPrefix } from './node-ports.ts';
import {
  type Complaint,
  planRepair,
  type RepairAction,
  type RepairFacts,
  type StoredPort,
} from './plan-repair.ts';

const repairIntervalMs = 3 * 60_000;
/** Objects that are read in one go. */
const batchSize = 200;

const watched: ReadonlySet<string> = new Set(['services/specs', 'ipaddresses', 'servicecidrs']);

/**
 * Looks again a while after something has changed, until the signal aborts. A cluster in which no
 * Service changes is left in peace.
 */
export async function runRepair(
  parts: Parts,
  { signal, first }: { readonly signal: AbortSignal; readonly first: RepairOutcome },
): Promise<void> {
  let { strays } = first;
  // What was too young when the server opened.
  let isDue = true;
  let wake: (() => void) | undefined;
  const note = (): void => {
    isDue = true;
    wake?.();
  };
  parts.hub.observe(({ resource }) => {
    if (watched.has(resource.storagePrefix)) note();
  });
  signal.addEventListener('abort', note, { once: true });
  for (;;) {
    if (!isDue) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    await parts.clock.sleep(repairIntervalMs, { signal });
    isDue = false;
    const pause = (): Promise<void> => parts.clock.sleep(0, { signal });
    const outcome = await repairServices(parts, { strayBefore: strays, pause });
    strays = outcome.strays;
    if (strays.size > 0 || !outcome.isDone) isDue = true;
  }
}

export interface RepairOptions {
  /** Ports that had no Service at the last look. */
  readonly strayBefore?: ReadonlySet<number>;
  /** Lets others have their turn; absent while nobody else is there yet. */
  readonly pause?: () => Promise<void>;
}

export interface RepairOutcome {
  /** Ports that have no Service, for the next look. */
  readonly strays: ReadonlySet<number>;
  /** False where the disk refused what was to be written. */
  readonly isDone: boolean;
}

/** One look. A disk that refuses writes stops neither the server's start nor its later looks. */
export async function repairServices(
  parts: Parts,
  options: RepairOptions = {},
): Promise<RepairOutcome> {
  const plan = planRepair(await gather(parts, options), parts.clock.now());
  const { strays } = plan;
  try {
    await Promise.all(plan.actions.map((action) => perform(parts, action)));
    for (const complaint of plan.complaints) await tell(parts, complaint);
    return { strays, isDone: true };
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    parts.log.warn('service books were not mended', { error });
    return { strays, isDone: false };
  }
}

/** In batches, so that it is no snapshot: the plan leaves alone what is young. */
async function gather(
  parts: Parts,
  { strayBefore = new Set(), pause }: RepairOptions,
): Promise<RepairFacts> {
  const { store } = parts;
  const list = async (prefix: string): Promise<readonly KubeObject[]> => {
    const objects: KubeObject[] = [];
    for (const entry of store.list({ prefix: `${registryRoot}${prefix}/` }).entries) {
      objects.push(decodeEntry(entry));
      if (objects.length % batchSize === 0) await pause?.();
    }
    return objects;
  };
  const ports = store.list({ prefix: portPrefix }).entries.map(
    ({ key, value }): StoredPort => ({
      port: Number(key.slice(portPrefix.length)),
      owner: portOwner(value),
    }),
  );
  const spans = serviceCIDRs(parts)
    .flatMap(({ spec }) => spec?.cidrs ?? [])
    .flatMap((cidr) => spanOf(cidr) ?? []);
  return {
    // What is stored under these prefixes has these shapes.
    services: (await list('services/specs')) as readonly Service[],
    addresses: (await list('ipaddresses')) as readonly IPAddress[],
    ports,
    strayBefore,
    isInRange: (address) => isWithin(spans, address),
  };
}

async function perform({ services, store }: Parts, action: RepairAction): Promise<void> {
  // The Service may have gone since it was looked at.
  if ('owner' in action && !isThere(store, action.owner)) return;
  switch (action.do) {
    case 'record address':
      await services.addresses.record(action.address, action.owner);
      return;
    case 'replace address':
      await store.delete({ key: `${registryRoot}ipaddresses/${action.address}`, expect: 'any' });
      await services.addresses.record(action.address, action.owner);
      return;
    case 'remove address':
      await store.delete({ key: `${registryRoot}ipaddresses/${action.address}`, expect: 'any' });
      return;
    case 'record port':
      await services.ports.record(action.port, action.owner);
      return;
    case 'remove port':
      await store.delete({ key: `${portPrefix}${action.port}`, expect: 'any' });
      return;
    default:
      action satisfies never;
  }
}

function isThere(store: Store, { namespace, name }: Owner): boolean {
  return store.get(`${registryRoot}services/specs/${namespace}/${name}`) !== undefined;
}

/** As an event about the Service or the address. */
async function tell(parts: Parts, { about, reason, message }: Complaint): Promise<void> {
  const { catalog, clock, random, log } = parts;
  const { name = '', namespace = 'default', uid = '' } = about.metadata;
  log.warn('service books were wrong', { reason, message });
  const served = catalog.findPlural({ group: '', version: 'v1' }, 'events');
  if (served === undefined) return;
  const now = formatTime(clock.now());
  const { kind, apiVersion } = about;
  const component = 'ipallocator-repair-controller';
  const object = {
    kind: 'Event',
    apiVersion: 'v1',
    metadata: { name: `${name}.${nameSuffix(random, 10)}`, namespace },
    involvedObject: { kind, apiVersion, name, namespace, uid },
    reason,
    message,
    type: 'Warning',
    source: { component },
    reportingComponent: component,
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
  try {
    await createObject(parts, { served, object, namespace, identity: ownIdentity, dryRun: false });
  } catch (error) {
    // A namespace that goes away takes no events any more.
    if (!isReason(error, 'Forbidden') && !isReason(error, 'NotFound')) throw error;
  }
}
