/**
 * How many requests are answered at a time: `--max-requests-inflight` and, for those that write,
 * `--max-mutating-requests-inflight`. Watches, logs and the like are not counted, and an
 * administrator is always let in. One more is told to come again in a second.
 *
 * Between authenticate and impersonate; only where the server was given such a limit.
 */
import type { Identity } from '#kit/transport.ts';
import type { RequestInfo, ServerResponse } from '../request.ts';

/** 0: none. */
export interface InFlightLimits {
  readonly reading: number;
  readonly writing: number;
}

const reads: ReadonlySet<string> = new Set(['get', 'list', 'watch']);
const longSubresources = /^(attach|exec|log|portforward|proxy)$/;

/** As upstream answers: no Status, but a line. */
export const tooMany: ServerResponse = {
  status: 429,
  headers: {
    'content-type': 'text/plain; charset=utf-8',
    'retry-after': '1',
    'x-content-type-options': 'nosniff',
  },
  body: Buffer.from('Too many requests, please try again later.\n'),
};

export class InFlight {
  readonly #limits: InFlightLimits;
  readonly #now = { reading: 0, writing: 0 };

  constructor(limits: InFlightLimits) {
    this.#limits = limits;
  }

  /** What to call when the answer is there, or `full`. */
  enter(identity: Identity, info: RequestInfo): (() => void) | 'full' {
    if (isLongRunning(info)) return leaveNothing;
    const sort = reads.has(info.verb) ? 'reading' : 'writing';
    const max = this.#limits[sort];
    if (max === 0) return leaveNothing;
    const now = this.#now;
    if (now[sort] >= max) return identity.groups.includes('system:masters') ? leaveNothing : 'full';
    now[sort] += 1;
    return () => {
      now[sort] -= 1;
    };
  }
}

/** It lasts as long as both sides like. */
export function isLongRunning(info: RequestInfo): boolean {
  if (info.type !== 'resource') return false;
  return info.verb === 'watch' || longSubresources.test(info.subresource);
}

function leaveNothing(): void {}
