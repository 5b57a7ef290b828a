/**
 * What happens to machines: components crash and come back, nodes die for a while or for good,
 * clocks jump, the disk is full, history is forgotten, and a second copy of the controllers or the
 * scheduler believes for a while that it leads.
 */
import { nodes as nodeKind } from '#resources/kinds.ts';
import { oneOf } from '../options.ts';
import type { User } from './user.ts';

export interface ChaosDeps {
  readonly user: User;
  /** Names of what can crash besides nodes. */
  readonly components: readonly string[];
  readonly nodes: readonly string[];
  /** Started by mistake, each for a while. */
  readonly mistakes: readonly string[];
  /** Takes it away and brings it back after the time. */
  readonly crash: (
    name: string,
    awayMs: number,
    meanwhile?: (signal: AbortSignal) => Promise<void>,
  ) => void;
  readonly startByMistake: (name: string, forMs: number) => void;
  readonly fillDisk: (forMs: number) => void;
  /** What happened before is gone, and connections break: who watches has to list again. */
  readonly forgetHistory: () => void;
  readonly jumpClock: (name: string, byMs: number) => void;
}

const steps = [
  'crashComponent',
  'crashComponent',
  'crashNode',
  'crashNode',
  'removeNode',
  'fillDisk',
  'jumpClock',
  'mistake',
  'forgetHistory',
] as const;

export class Chaos {
  readonly #deps: ChaosDeps;
  readonly #crashMsMax: number;

  constructor(deps: ChaosDeps, options: { readonly crashMsMax: number }) {
    this.#deps = deps;
    this.#crashMsMax = options.crashMsMax;
  }

  crashComponent(): void {
    const { user, components, crash } = this.#deps;
    crash(oneOf(user.random, components), user.random.integer(this.#crashMsMax));
  }

  step(): void {
    const { user, nodes, components, mistakes } = this.#deps;
    const { random } = user;
    const step = oneOf(random, steps);
    switch (step) {
      case 'crashComponent':
        this.crashComponent();
        return;
      case 'crashNode':
        // Sometimes longer than pods stay on a node that is away (300 s and the 50 s of grace).
        this.#deps.crash(oneOf(random, nodes), random.integer(oneOf(random, [60_000, 500_000])));
        return;
      case 'removeNode':
        this.#removeNode(oneOf(random, nodes));
        return;
      case 'fillDisk':
        this.#deps.fillDisk(random.integer(20_000));
        return;
      case 'forgetHistory':
        this.#deps.forgetHistory();
        return;
      case 'jumpClock': {
        const byMs = random.integer(2 * 600_000) - 600_000;
        const ones = oneOf(random, [components, nodes]);
        this.#deps.jumpClock(oneOf(random, ones), byMs);
        return;
      }
      case 'mistake':
        this.#deps.startByMistake(oneOf(random, mistakes), random.integer(30_000));
        return;
      default:
        step satisfies never;
    }
  }

  /** Its machine is gone, and somebody deletes the Node; then it is there again, empty. */
  #removeNode(name: string): void {
    const { user, crash } = this.#deps;
    const awayMs = user.random.integer(60_000);
    const backMs = user.random.integer(120_000);
    crash(name, awayMs, async (signal) => {
      await user.delete(nodeKind, { name }, { signal });
      await user.clock.sleep(backMs, { signal });
    });
  }
}
