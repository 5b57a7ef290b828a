/**
 * What a namespace may contain and what owner references may name: every built-in kind, from the
 * one list of constants. Used where the caller of `runControllers` passes no list of its own (one
 * taken from discovery). A test of the constants keeps them complete.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import * as kinds from '#resources/kinds.ts';

export const knownKinds: readonly KindOf<KubeObject>[] = Object.values(kinds);
