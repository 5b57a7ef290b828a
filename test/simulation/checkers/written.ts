/** Objects of one kind as they are written, for checkers that judge writes. */
import type { KubeObject } from '#api/object.ts';
import type { WorldEvent } from '../trace.ts';

export interface Written<T> {
  readonly object: T;
  /** Undefined: it is made by this write. */
  readonly before: T | undefined;
}

/** Undefined where the event is anything else. */
export function writtenOf<T extends KubeObject>(
  event: WorldEvent,
  kind: T['kind'],
): Written<T> | undefined {
  if (event.what !== 'put' || event.object.kind !== kind) return undefined;
  // The kind says the type of what the store holds.
  return { object: event.object as T, before: event.before as T | undefined };
}

/** The object, where this write makes it. */
export function madeOf<T extends KubeObject>(event: WorldEvent, kind: T['kind']): T | undefined {
  const written = writtenOf<T>(event, kind);
  return written?.before === undefined ? written?.object : undefined;
}
