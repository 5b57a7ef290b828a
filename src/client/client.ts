/**
 * The client that every component uses: typed by descriptor, over any `Transport`.
 *
 * `openClient` (below, implemented here) builds it; `informer.ts` keeps an indexed copy of a kind;
 * `events.ts` records Events. Errors that the server answers are thrown as `ApiError`.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Transport } from '#kit/transport.ts';

export interface ListOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly limit?: number | undefined;
  readonly continue?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly continue?: string | undefined;
}

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' | undefined;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string } | undefined;
}

export type PatchType = 'merge' | 'strategic' | 'json';

export interface Cancel {
  readonly signal: AbortSignal;
}

export interface Client {
  get<T extends KubeObject>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    options: Cancel,
  ): Promise<T>;
  list<T extends KubeObject>(
    kind: KindOf<T>,
    options: ListOptions & Cancel,
  ): Promise<ObjectList<T>>;
  /** Ends (returns) when the server closes; throws `ApiError` for an ERROR event (410 Expired). */
  watch<T extends KubeObject>(
    kind: KindOf<T>,
    options: ListOptions &
      Cancel & { readonly resourceVersion: string; readonly bookmarks?: boolean },
  ): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(kind: KindOf<T>, object: T, options: Cancel): Promise<T>;
  /** PUT; `subresource` as `status`. */
  update<T extends KubeObject>(
    kind: KindOf<T>,
    object: T,
    options: Cancel & { readonly subresource?: string },
  ): Promise<T>;
  patch<T extends KubeObject>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    patch: unknown,
    options: Cancel & { readonly type: PatchType; readonly subresource?: string },
  ): Promise<T>;
  delete<T extends KubeObject>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    options: Cancel & DeleteOptions,
  ): Promise<void>;
  /** POST to a sub-resource: `binding`, `eviction`, `token`. */
  createSubresource<T extends KubeObject, Body extends KubeObject, Answer>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    subresource: string,
    body: Body,
    options: Cancel,
  ): Promise<Answer>;
  readonly transport: Transport;
}

export type { Informer, InformerHandler, InformerOptions, Informers } from './informer.ts';
