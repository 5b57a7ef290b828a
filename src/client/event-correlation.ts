/**
 * What becomes of an event: a new object, a higher count on an old one, or nothing.
 *
 * Three steps with upstream's numbers. *Combine*: the eleventh different text within ten minutes
 * for one object and reason is told as one "combined" event. *Count*: an event that was written
 * before, text and all, only raises the count of that object. *Silence*: one object may cause 25
 * events at once and one more per five minutes. Memory is bounded: the least recently seen is
 * forgotten.
 */
import type { Clock } from '#kit/clock.ts';
import type { Event } from '#resources/types/core-v1.ts';

export const correlationLimits = {
  keysMax: 4096,
  similarMax: 10,
  similarMs: 10 * 60 * 1000,
  burst: 25,
  refillMs: 5 * 60 * 1000,
} as const;

export type Decision =
  | { readonly do: 'create' | 'raise'; readonly event: Event; readonly key: string }
  | { readonly do: 'drop' };

interface Similar {
  readonly texts: Set<string>;
  lastMs: number;
}

interface Bucket {
  tokens: number;
  filledMs: number;
}

export class EventCorrelation {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #similar = new Map<string, Similar>();
  readonly #written = new Map<string, Event>();
  readonly #buckets = new Map<string, Bucket>();

  constructor(deps: { readonly clock: Pick<Clock, 'monotonic'> }) {
    this.#clock = deps.clock;
  }

  decide(seen: Event): Decision {
    const source = `${seen.source?.component} ${seen.source?.host}`;
    const { apiVersion, kind, namespace, name, uid, fieldPath } = seen.involvedObject;
    const object = [source, apiVersion, kind, namespace, name, uid].join(' ');
    const group = [object, fieldPath, seen.type, seen.reason].join(' ');
    const combined = this.#isOneTooMany(group, seen.message ?? '');
    const event = combined
      ? { ...seen, message: `(combined from similar events): ${seen.message}` }
      : seen;
    const key = combined ? group : `${group} ${seen.message}`;
    if (!this.#mayWrite(object)) return { do: 'drop' };
    const before = touch(this.#written, key);
    if (before === undefined) return { do: 'create', event, key };
    const { metadata, firstTimestamp, count = 1 } = before;
    return { do: 'raise', event: { ...event, metadata, firstTimestamp, count: count + 1 }, key };
  }

  written(decision: Exclude<Decision, { readonly do: 'drop' }>, event: Event): void {
    // Only what the next count needs.
    const { namespace, name } = event.metadata;
    const { count } = decision.event;
    keep(this.#written, decision.key, { ...event, metadata: { namespace, name }, count });
  }

  #isOneTooMany(group: string, text: string): boolean {
    const now = this.#clock.monotonic();
    let similar = touch(this.#similar, group);
    if (similar === undefined || now - similar.lastMs > correlationLimits.similarMs) {
      similar = { texts: new Set(), lastMs: now };
      keep(this.#similar, group, similar);
    }
    similar.lastMs = now;
    if (similar.texts.size < correlationLimits.similarMax) similar.texts.add(text);
    return !similar.texts.has(text);
  }

  #mayWrite(object: string): boolean {
    const now = this.#clock.monotonic();
    const { burst, refillMs } = correlationLimits;
    const bucket = touch(this.#buckets, object) ?? { tokens: burst, filledMs: now };
    keep(this.#buckets, object, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + (now - bucket.filledMs) / refillMs);
    bucket.filledMs = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}

/** The value, made the most recently used. */
function touch<T>(map: Map<string, T>, key: string): T | undefined {
  const value = map.get(key);
  if (value === undefined) return undefined;
  map.delete(key);
  map.set(key, value);
  return value;
}

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value);
  if (map.size <= correlationLimits.keysMax) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
