/**
 * Who was killed because the whole machine was out of memory, in the words of the kernel: the event
 * `SystemOOM` about the Node, as upstream's kubelet tells it. Whom a limit of his own has killed is
 * told by the status of his container. Called by `housekeeping.ts`.
 */

export interface Victim {
  readonly name: string;
  readonly pid: string;
}

export class OomReader {
  /** Between the first and the last line of one killing: whether it is for the whole machine. */
  #isOfMachine: boolean | undefined;

  /** Given one line after another. */
  read(line: string): Victim | undefined {
    if (line.includes('invoked oom-killer:')) this.#isOfMachine = true;
    if (this.#isOfMachine === undefined) return undefined;
    const group =
      /,oom_memcg=([^,]*),/.exec(line) ?? /killed as a result of limit of (.*)/.exec(line);
    if (group !== null) this.#isOfMachine = group[1] === '/';
    const [, pid, name] = /Killed process (\d+)[,:]? \((.+?)\)/.exec(line) ?? [];
    if (pid === undefined || name === undefined) return undefined;
    const isOfMachine = this.#isOfMachine;
    this.#isOfMachine = undefined;
    return isOfMachine ? { name, pid } : undefined;
  }
}

export function systemOomMessage({ name, pid }: Victim): string {
  return `System OOM encountered, victim process: ${name}, pid: ${pid}`;
}
