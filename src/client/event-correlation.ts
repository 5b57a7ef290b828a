/**
 * What becomes of an event: a new object, a higher count on an old one, or nothing.
 *
 * Three steps with upstream's numbers. *Combine*: from the tenth different text within ten minutes
 * for one object and reason on, all are told as one "combined" event. *Count*: an event that was
 * seen before, text and all, only raises the count of that object. *Silence*: one object may cause
 * 25 events at once and one more per five minutes; what is silenced is counted even so. Memory is
 * bounded: the least recently seen is forgotten.
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

/** Of an event, what the next count needs. */
type Seen = Pick<Event, 'metadata' | 'firstTimestamp' | 'count'>;

interface Bucket {
  tokens: number;
  filledMs: number;
}

export class EventCorrelation {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #similar = new Map<string, Similar>();
  readonly #seen = new Map<string, Seen>();
  readonly #buckets = new Map<string, Bucket>();

  constructor(deps: { readonly clock: Pick<Clock, 'monotonic'> }) {
    this.#clock = deps.clock;
  }

  decide(seen: Event): Decision {
    const source = `${seen.source?.component} ${seen.source?.host}`;
    const { apiVersion, kind, namespace, name, uid, fieldPath } = seen.involvedObject;
    const object = [source, apiVersion, kind, namespace, name, uid].join(' ');
    const group = [object, seen.type, seen.reason].join(' ');
    const combined = this.#isOneTooMany(group, seen.message ?? '');
    const event = combined ? combinedOf(seen) : seen;
    const key = combined ? group : `${group} ${fieldPath ?? ''} ${seen.message}`;
    const decision = this.#count(event, key);
    return this.#mayWrite(object) ? decision : { do: 'drop' };
  }

  /** Notes it whether or not it is written, so that the next count is right. */
  #count(event: Event, key: string): Exclude<Decision, { readonly do: 'drop' }> {
    const before = touch(this.#seen, key);
    if (before === undefined) {
      keep(this.#seen, key, brief(event));
      return { do: 'create', event, key };
    }
    const { metadata, firstTimestamp, count = 1 } = before;
    const raised = { ...event, metadata, firstTimestamp, count: count + 1 };
    keep(this.#seen, key, brief(raised));
    return { do: 'raise', event: raised, key };
  }

  written(decision: Exclude<Decision, { readonly do: 'drop' }>, event: Event): void {
    const { count } = this.#seen.get(decision.key) ?? decision.event;
    keep(this.#seen, decision.key, brief({ ...event, count }));
  }

  #isOneTooMany(group: string, text: string): boolean {
    const now = this.#clock.monotonic();
    let similar = touch(this.#similar, group);
    if (similar === undefined || now - similar.lastMs > correlationLimits.similarMs) {
      similar = { texts: new Set(), lastMs: now };
      keep(this.#similar, group, similar);
    }
    similar.lastMs = now;
    if (similar.texts.size < correlationLimits.similarMax - 1) similar.texts.add(text);
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

/** Upstream's says its source only in the older of the two ways. */
function combinedOf(event: Event): Event {
  const message = `(combined from similar events): ${event.message}`;
  return { ...event, message, reportingComponent: '', reportingInstance: '' };
}

function brief({ metadata, firstTimestamp, count }: Event): Seen {
  const { namespace, name } = metadata;
  return { metadata: { namespace, name }, firstTimestamp, count };
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
