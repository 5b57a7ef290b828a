/**
 * The worker `control`, seen from the API server's thread: started, restarted with a growing delay
 * when it dies, stopped. Each component in it gets a port bound to its own identity.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { ApiServer } from '#apiserver';
import { servePort } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Identity } from '#kit/transport.ts';
import type {
  ControlComponent,
  ControlData,
  ControlMessage,
  ControlRequest,
} from './control-worker.ts';

const limits = {
  /** Old generation of the worker's heap; hitting it ends the worker, which is then restarted. */
  heapMiBMax: 2048,
  /** A smaller one is copied so often while many pods are placed that a sixth of the time goes. */
  youngGenerationMiB: 16,
  restartDelayMs: 200,
  restartDelayMsMax: 30_000,
  stopMs: 5_000,
} as const;

const identities: Readonly<Record<keyof ControlData['ports'], Identity>> = {
  controllers: { name: 'system:kube-controller-manager', groups: ['system:authenticated'] },
  scheduler: { name: 'system:kube-scheduler', groups: ['system:authenticated'] },
  hollow: { name: 'system:hollow-nodes', groups: ['system:masters', 'system:authenticated'] },
};

export interface ControlDeps {
  readonly server: ApiServer;
  readonly clock: Clock;
  readonly log: Logger;
  /** Takes the worker's log lines, which are already formatted. */
  readonly writeLog: (line: string) => void;
  readonly figures: ControlFigures;
}

export type ControlOptions = Omit<ControlData, 'ports'>;

/** What the worker of the moment counts; empty while none runs. */
export class ControlFigures {
  readonly #waiting = new Map<number, (text: string) => void>();
  #worker: Worker | undefined;
  #next = 0;

  get runs(): boolean {
    return this.#worker !== undefined;
  }

  /** Text for Prometheus. */
  read(of: ControlComponent): Promise<string> {
    const worker = this.#worker;
    if (worker === undefined) return Promise.resolve('');
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      worker.postMessage({ do: 'tell figures', of, id } satisfies ControlRequest);
    });
  }

  answered(id: number, text: string): void {
    this.#waiting.get(id)?.(text);
    this.#waiting.delete(id);
  }

  /** Undefined when it has ended: then nobody answers any more. */
  from(worker: Worker | undefined): void {
    this.#worker = worker;
    for (const resolve of this.#waiting.values()) resolve('');
    this.#waiting.clear();
  }
}

/** Runs until the signal aborts and the worker has ended. */
export async function runControl(
  deps: ControlDeps,
  options: ControlOptions,
  signal: AbortSignal,
): Promise<void> {
  let delayMs: number = limits.restartDelayMs;
  while (!signal.aborted) {
    const startedMs = deps.clock.monotonic();
    const failure = await runOnce(deps, options, signal);
    if (signal.aborted) return;
    if (deps.clock.monotonic() - startedMs > 60_000) delayMs = limits.restartDelayMs;
    deps.log.error('control worker ended, starting it again', { error: failure, delayMs });
    await deps.clock.sleep(delayMs, { signal }).catch(() => {});
    delayMs = Math.min(delayMs * 2, limits.restartDelayMsMax);
  }
}

async function runOnce(
  deps: ControlDeps,
  options: ControlOptions,
  signal: AbortSignal,
): Promise<Error | undefined> {
  const ports: MessagePort[] = [];
  const portFor = (name: keyof typeof identities): MessagePort => {
    const { port1, port2 } = new MessageChannel();
    servePort(port1, deps.server.direct(identities[name]));
    ports.push(port1);
    return port2;
  };
  const hollow = options.hollowNodes > 0 ? portFor('hollow') : undefined;
  const data: ControlData = {
    ...options,
    ports: { controllers: portFor('controllers'), scheduler: portFor('scheduler'), hollow },
  };
  const transferList: MessagePort[] = [data.ports.controllers, data.ports.scheduler];
  if (hollow !== undefined) transferList.push(hollow);
  const worker = new Worker(new URL('./control.worker.js', import.meta.url), {
    name: 'control',
    workerData: data,
    transferList,
    resourceLimits: {
      maxOldGenerationSizeMb: limits.heapMiBMax,
      maxYoungGenerationSizeMb: limits.youngGenerationMiB,
    },
  });
  let cancelStop = (): void => {};
  const stop = (): void => {
    worker.postMessage({ do: 'stop' } satisfies ControlRequest);
    cancelStop = deps.clock.after(limits.stopMs, () => {
      deps.log.warn('control worker does not end, ending it', { afterMs: limits.stopMs });
      void worker.terminate();
    });
  };
  signal.addEventListener('abort', stop, { once: true });
  let failure: Error | undefined;
  deps.figures.from(worker);
  worker.on('message', (message: ControlMessage) => {
    if ('log' in message) deps.writeLog(message.log);
    else deps.figures.answered(message.id, message.text);
  });
  worker.on('error', (error: Error) => {
    failure = error;
  });
  await new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  deps.figures.from(undefined);
  cancelStop();
  signal.removeEventListener('abort', stop);
  for (const port of ports) port.close();
  return failure;
}
