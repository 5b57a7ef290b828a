/**
 * Names a kind on the wire and carries its TypeScript type, so that one call of the client is typed
 * by one small constant. The constants live in `resources/kinds.ts`.
 */
import type { KubeObject } from './object.ts';

export interface KindOf<T extends KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never present; carries the type. */
  readonly type?: T;
}
