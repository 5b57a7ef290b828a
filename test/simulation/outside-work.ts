/**
 * Watches for work that the virtual clock does not govern: real timers, file and network access,
 * anything on the thread pool. Its outcome arrives when the machine pleases, so a trace that
 * depends on it cannot be repeated. A simulation in which any is begun has failed, whatever its
 * trace says.
 */
import { type AsyncHook, createHook } from 'node:async_hooks';

/** What Node calls the beginnings of such work, among much that is harmless. */
const outside = /REQ|Timeout|ZLIB|WORKER|JOB|WRAP$/;
/** Signatures and keys have the same names when they are made at once; then nobody is called. */
const perhapsAtOnce = /^(SIGN|VERIFY|KEYPAIRGEN|KEYEXPORT)REQUEST$/;

export class OutsideWork implements Disposable {
  readonly #found = new Set<string>();
  readonly #uncertain = new Map<number, string>();
  readonly #hook: AsyncHook;

  constructor() {
    this.#hook = createHook({
      init: (id, type) => {
        if (perhapsAtOnce.test(type)) this.#uncertain.set(id, type);
        else if (outside.test(type) && !isOutput(type)) this.#found.add(type);
      },
      before: (id) => {
        const type = this.#uncertain.get(id);
        if (type !== undefined) this.#found.add(type);
      },
      trackPromises: false,
    });
    this.#hook.enable();
  }

  /** Sorts of work that were begun, in Node's words. */
  get found(): readonly string[] {
    return [...this.#found].sort();
  }

  [Symbol.dispose](): void {
    this.#hook.disable();
  }
}

/** Writing the trace itself. */
function isOutput(type: string): boolean {
  return ['TTYWRAP', 'PIPEWRAP', 'WRITEWRAP', 'FSREQCALLBACK'].includes(type);
}
