/**
 * Machines for tests, as far as the network goes: namespaces, each held by a sleeping process, so
 * that nothing is left once the processes have ended. What runs in one is started behind
 * `launcherOf(place)`; cgroups and files are those of the machine.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mustRun } from '#kit/run-command.ts';

const limits = { commandMs: 60_000, holdS: 600 } as const;
const { signal } = new AbortController();

/** A network namespace, held by a process. */
export interface Place {
  readonly pid: number;
  readonly path: string;
}

/** Ends with the process; see `endProcess`. */
export async function openPlace(): Promise<ChildProcess> {
  const script = `echo ready; exec sleep ${limits.holdS}`;
  const child = spawn('unshare', ['--net', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await spoken(child);
  return child;
}

export function placeOf({ pid = 0 }: ChildProcess): Place {
  return { pid, path: `/proc/${pid}/ns/net` };
}

/** What to put in front of a command, so that it runs there. */
export function launcherOf({ path }: Place): readonly string[] {
  return ['nsenter', `--net=${path}`];
}

/** Runs lines of `ip -batch` in a place. */
export async function ipBatch({ path }: Place, lines: readonly string[]): Promise<void> {
  const input = `${lines.join('\n')}\n`;
  const args = [`--net=${path}`, 'ip', '-batch', '-'];
  await mustRun('nsenter', args, { input, signal, timeoutMs: limits.commandMs });
}

/** Waits for the first output. */
export function spoken(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', () => reject(new Error(`${child.spawnargs.join(' ')} ended at once`)));
  });
}

export async function endProcess(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await exit;
}

/** Two machines with a cable between them, and no way out. */
export class LinkedPlaces implements AsyncDisposable {
  readonly addresses = ['192.168.79.1', '192.168.79.2'] as const;
  readonly one: Place;
  readonly two: Place;
  readonly #processes: readonly ChildProcess[];

  private constructor(one: ChildProcess, two: ChildProcess) {
    this.#processes = [one, two];
    this.one = placeOf(one);
    this.two = placeOf(two);
  }

  static async open(): Promise<LinkedPlaces> {
    const places = new LinkedPlaces(await openPlace(), await openPlace());
    const { one, two, addresses } = places;
    await ipBatch(one, [`link add up0 type veth peer name up0 netns ${two.path}`]);
    const ends = [
      { place: one, address: addresses[0] },
      { place: two, address: addresses[1] },
    ];
    for (const { place, address } of ends) {
      const link = [`addr add ${address}/24 dev up0`, 'link set up0 up'];
      await ipBatch(place, ['link set lo up', ...link]);
    }
    return places;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map(endProcess));
  }
}
