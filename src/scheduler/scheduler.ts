/** Face of this module: see docs/architecture.md. */
import type { Client, Informers } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';

export interface SchedulerDeps {
  readonly client: Client;
  /** Shared by the controllers and the scheduler of one process; run by whoever made it. */
  readonly informers: Informers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}
