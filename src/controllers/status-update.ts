/**
 * Writes what a controller has found out into an object's status, unless it says so already. An
 * object that is gone by now needs none.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { ignoreNotFound } from './api-failure.ts';
import { isSameValue } from './same-value.ts';

/** Gives the object as the server has it; undefined where nothing was written. */
export async function updateStatus<T extends KubeObject>(
  client: Client,
  kind: KindOf<T>,
  { before, after }: { readonly before: T; readonly after: T },
  { signal }: { readonly signal: AbortSignal },
): Promise<T | undefined> {
  if (isSameValue(after.status ?? {}, before.status ?? {})) return undefined;
  const options = { subresource: 'status', signal };
  return client.update(kind, after, options).catch(ignoreNotFound);
}

/** A part of a status: a zero is left out, as upstream writes it. */
export function counter<Name extends string>(
  name: Name,
  count: number,
): { readonly [Field in Name]?: number };
export function counter(name: string, count: number): Readonly<Record<string, number>> {
  return count === 0 ? {} : { [name]: count };
}
