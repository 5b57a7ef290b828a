/**
 * To its clients the store is one copy that changes at single moments: what was read was there at
 * some moment between question and answer, a write that expects a revision meets exactly that one,
 * and a list shows all keys as they were at its one revision.
 *
 * Judged are the registers (`workload/registers.ts`): every answer against the commits.
 */

import type { Answered, WorldEvent } from '../trace.ts';
import { registersNamespace } from '../workload/registers.ts';
import type { Checker } from './checker.ts';

/** A key's state from its commit until the next one. */
interface State {
  readonly revision: number;
  /** Undefined: deleted. */
  readonly value: string | undefined;
  readonly fromMs: number;
}

export class Linearizable implements Checker {
  readonly name = 'linearizable';
  judged = 0;
  readonly #states = new Map<string, State[]>();

  onEvent(event: WorldEvent, nowMs: number): string | undefined {
    if (event.what === 'answered') {
      this.judged += 1;
      return this.#judge(event, nowMs);
    }
    if (event.what !== 'put' && event.what !== 'delete') return undefined;
    const { kind, metadata } = event.object;
    if (kind !== 'ConfigMap' || metadata.namespace !== registersNamespace) return undefined;
    const name = metadata.name ?? '';
    // The kind says that there may be data.
    const { data } = event.object as { readonly data?: Readonly<Record<string, string>> };
    const value = event.what === 'put' ? (data?.['value'] ?? '') : undefined;
    const states = this.#states.get(name) ?? [];
    states.push({ revision: event.revision, value, fromMs: nowMs });
    this.#states.set(name, states);
    return undefined;
  }

  #judge(answer: Answered, nowMs: number): string | undefined {
    switch (answer.did) {
      case 'read':
        return this.#judgeRead(answer, nowMs);
      case 'create':
      case 'update':
        return this.#judgeWrite(answer);
      case 'delete':
        return this.#judgeDelete(answer);
      case 'list':
        return this.#judgeList(answer);
      default:
        return answer.did satisfies never;
    }
  }

  #judgeRead({ name, revision, value, startMs }: Answered, nowMs: number): string | undefined {
    const states = this.#states.get(name) ?? [];
    const before: State = { revision: 0, value: undefined, fromMs: 0 };
    const holds = [before, ...states].some((state, index) => {
      const untilMs = states[index]?.fromMs ?? nowMs;
      if (state.fromMs > nowMs || untilMs < startMs) return false;
      return state.value === value && (value === undefined || state.revision === revision);
    });
    if (holds) return undefined;
    return `${name} was read as ${value} @${revision}, which it was not since ${startMs} ms`;
  }

  #judgeWrite({ name, revision, value, expected = 0 }: Answered): string | undefined {
    const states = this.#states.get(name) ?? [];
    const index = states.findIndex((state) => state.revision === revision);
    const made = states[index];
    if (made?.value !== value) return `${name} @${revision} was answered and is not in the store`;
    const before = states[index - 1];
    const found = before?.value === undefined ? 0 : before.revision;
    if (found === expected) return undefined;
    return `${name} @${revision} was to replace @${expected} and replaced @${found}`;
  }

  #judgeDelete({ name, expected = 0 }: Answered): string | undefined {
    const states = this.#states.get(name) ?? [];
    const index = states.findIndex(({ revision }) => revision === expected);
    if (states[index + 1]?.value === undefined && states[index + 1] !== undefined) return undefined;
    return `${name} @${expected} was answered as deleted, and was not`;
  }

  #judgeList({ listed }: Answered): string | undefined {
    if (listed === undefined) return undefined;
    const { revision, shown } = listed;
    for (const [name, states] of this.#states) {
      const there = states.findLast((state) => state.revision <= revision)?.value;
      if (there === shown.get(name)) continue;
      return `a list at ${revision} shows ${name} as ${shown.get(name)}; it was ${there}`;
    }
    return undefined;
  }
}
