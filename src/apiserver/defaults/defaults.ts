/**
 * Roles, bindings and flow control that upstream's server makes by itself, made a while after the
 * server opened: nobody here waits for them, and the start is short. A few at a time, so that
 * requests come between.
 *
 * Roles are brought up to date once, at the start; flow control every minute, and schemas say
 * whether their level is there as soon as one of the two changes. Called by `apiserver.ts`.
 */
import type { Served } from '#api/catalog.ts';
import { ApiError } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { formatTime } from '#kit/clock.ts';
import type { FlowSchema } from '#resources/types/flowcontrol-v1.ts';
import { type Entry, StoreUnavailable, ValueUnreadable, ValueUnwritable } from '#store';
import { ownIdentity } from '../auth/own-identity.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, keyOf, prefixOf, textOf } from '../registry.ts';
import { createObject } from '../verbs/create.ts';
import { removeEntry } from '../verbs/remove.ts';
import { changeObject } from '../verbs/update.ts';
import { flowDefaults, isForgotten, planDangling, planFlow } from './flow-control.ts';
import { defaultRoles, type Plan, planBinding, planRole } from './roles.ts';

/** Between a few objects. */
const pauseMs = 20;
const batchLength = 8;
const flowIntervalMs = 60_000;
const retryMs = 5_000;

const roleManager = 'kube-apiserver';
const flowManager = 'api-priority-and-fairness-config-producer-v1';
const judgeManager = 'api-priority-and-fairness-config-consumer-v1';
const flowGroup = 'flowcontrol.apiserver.k8s.io';

export async function runDefaults(
  parts: Parts,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const { clock, hub } = parts;
  let count = 0;
  const pause = async (): Promise<void> => {
    count += 1;
    if (count % batchLength === 0) await clock.sleep(pauseMs, { signal });
  };
  const persist = (work: () => Promise<void>) => untilStored(parts, { signal, work });
  await persist(() => ensureRoles(parts, pause));
  let wake = Promise.withResolvers<void>();
  hub.observe(({ resource }) => {
    const { storagePrefix } = resource;
    if (storagePrefix === 'flowschemas' || storagePrefix === 'prioritylevelconfigurations') {
      wake.resolve();
    }
  });
  for (;;) {
    await persist(() => ensureFlow(parts, pause));
    const againMs = clock.monotonic() + flowIntervalMs;
    for (;;) {
      wake = Promise.withResolvers();
      await persist(() => judgeSchemas(parts, pause));
      const rest = new AbortController();
      // However often there is something to judge meanwhile.
      const minute = clock.sleep(Math.max(0, againMs - clock.monotonic()), {
        signal: AbortSignal.any([signal, rest.signal]),
      });
      const isChanged = await Promise.race([
        wake.promise.then(() => true),
        minute.then(() => false),
      ]);
      if (!isChanged) break;
      rest.abort(new Error('there is something to judge'));
      await minute.catch(() => {});
      signal.throwIfAborted();
    }
  }
}

/** While the disk is full or something cannot be read, nothing can be made; later all may be. */
async function untilStored(
  { clock, log }: Parts,
  { signal, work }: { readonly signal: AbortSignal; readonly work: () => Promise<void> },
): Promise<void> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const mayPass =
        error instanceof StoreUnavailable ||
        error instanceof ValueUnreadable ||
        error instanceof ValueUnwritable;
      if (!mayPass) throw error;
      log.warn('default objects wait for the store', { error });
    }
    await clock.sleep(retryMs, { signal });
  }
}

async function ensureRoles(parts: Parts, pause: () => Promise<void>): Promise<void> {
  for (const { plural, object } of defaultRoles()) {
    const at = { group: 'rbac.authorization.k8s.io', version: 'v1' };
    const served = parts.catalog.findPlural(at, plural);
    if (served === undefined) return;
    const plan = plural.endsWith('roles') ? planRole : planBinding;
    await ensure(parts, { served, object, plan, manager: roleManager });
    await pause();
  }
}

interface Wanted {
  readonly served: Served;
  readonly object: KubeObject;
  readonly plan: (stored: KubeObject, wanted: KubeObject) => Plan;
  readonly manager: string;
}

/**
 * Another server on the same store, or somebody's hand, may be faster, and a quota or what somebody
 * wrote may stand in the way: the others are made, and the next time will do.
 */
async function ensure(parts: Parts, wanted: Wanted): Promise<void> {
  const { served, object, plan, manager } = wanted;
  const { name = '', namespace = '' } = object.metadata;
  const key = keyOf(served.resource, namespace, name);
  const entry = parts.store.get(key);
  if (entry !== undefined && holds(entry, object)) return;
  try {
    if (entry !== undefined) {
      const next = plan(decodeEntry(entry), object);
      if (next.do === 'nothing') return;
      if (next.do === 'update') {
        await changeObject(parts, {
          ...{ served, namespace, name, subresource: '', manager, identity: ownIdentity },
          ...{ dryRun: false, insists: false },
          next: (hub) => {
            const again = plan(hub, object);
            return again.do === 'update' ? again.next : hub;
          },
        });
        return;
      }
      await removeEntry(parts, served.resource, entry, decodeEntry(entry));
    }
    await createObject(parts, {
      served,
      object,
      namespace,
      identity: ownIdentity,
      dryRun: false,
      manager,
    });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    parts.log.warn('a default object was not written', { key, error });
  }
}

/**
 * Whether what is stored has all of this, word for word: as it was made, most likely. Looks at the
 * text alone, so that a start that finds everything in its place costs little memory.
 */
function holds({ value }: Entry, { metadata, ...rest }: KubeObject): boolean {
  const text = textOf(value);
  const { kind: _kind, apiVersion: _version, ...fields } = rest;
  const wanted = Object.entries({ ...metadata.labels, ...metadata.annotations, ...fields });
  if (!('aggregationRule' in fields) && text.includes('"aggregationRule"')) return false;
  return wanted.every(([key, shall]) =>
    text.includes(`${JSON.stringify(key)}:${JSON.stringify(shall)}`),
  );
}

async function ensureFlow(parts: Parts, pause: () => Promise<void>): Promise<void> {
  const wanted = flowDefaults();
  for (const { plural, object } of wanted) {
    const served = findFlow(parts, plural);
    if (served === undefined) return;
    const plan = (stored: KubeObject, shall: KubeObject): Plan => {
      const next = planFlow(stored, shall);
      return next === undefined ? { do: 'nothing' } : { do: 'update', next };
    };
    await ensure(parts, { served, object, plan, manager: flowManager });
    await pause();
  }
  for (const plural of ['flowschemas', 'prioritylevelconfigurations'] as const) {
    const served = findFlow(parts, plural);
    if (served === undefined) return;
    const names = new Set(
      wanted
        .filter((each) => each.plural === plural)
        .map(({ object }) => object.metadata.name ?? ''),
    );
    for (const entry of parts.store.list({ prefix: prefixOf(served.resource, '') }).entries) {
      const stored = decodeEntry(entry);
      if (isForgotten(stored, names)) await removeEntry(parts, served.resource, entry, stored);
    }
  }
}

/** Tells of every schema whether its level is there. */
async function judgeSchemas(parts: Parts, pause: () => Promise<void>): Promise<void> {
  const { store, clock } = parts;
  const schemas = findFlow(parts, 'flowschemas');
  const levels = findFlow(parts, 'prioritylevelconfigurations');
  if (schemas === undefined || levels === undefined) return;
  const judge = (hub: KubeObject) => {
    // The kind was looked up by its name.
    const schema = hub as FlowSchema;
    const level = schema.spec?.priorityLevelConfiguration.name ?? '';
    const exists = store.get(keyOf(levels.resource, '', level)) !== undefined;
    return planDangling(schema, { exists, now: formatTime(clock.now()) });
  };
  for (const entry of store.list({ prefix: prefixOf(schemas.resource, '') }).entries) {
    const stored = decodeEntry(entry);
    if (judge(stored) === undefined) continue;
    try {
      await changeObject(parts, {
        ...{
          served: schemas,
          namespace: '',
          name: stored.metadata.name ?? '',
          identity: ownIdentity,
        },
        ...{ subresource: 'status', manager: judgeManager, dryRun: false, insists: false },
        next: (hub) => {
          const conditions = judge(hub);
          return conditions === undefined ? hub : { ...hub, status: { conditions } };
        },
      });
    } catch (error) {
      // Gone meanwhile, or changed again, of which we will hear.
      if (!(error instanceof ApiError)) throw error;
      parts.log.debug('a schema was not judged', { key: entry.key, error });
    }
    await pause();
  }
}

function findFlow({ catalog }: Parts, plural: string): Served | undefined {
  return catalog.findPlural({ group: flowGroup, version: 'v1' }, plural);
}
