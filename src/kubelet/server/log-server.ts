/**
 * Answers `/containerLogs/NS/POD/CONTAINER`: finds the container's log file and streams it.
 */
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { isGrpcCode } from '#cri';
import type { ContainerStatus } from '#resources/types/core-v1.ts';
import { isMissing } from '../logs/followed-log.ts';
import { type LogOptions, readLog } from '../logs/log-reader.ts';
import {
  type ContainerFact,
  containersOf,
  ephemeralContainersOf,
  initContainersOf,
} from '../pods/pod-facts.ts';
import { containerLogPath, podPaths } from '../pods/pod-paths.ts';
import type { PodWorker } from '../pods/pod-worker.ts';
import type { ServerParts } from './server.ts';

const running = 'CONTAINER_RUNNING';

export interface LogTarget {
  readonly worker: PodWorker | undefined;
  readonly namespace: string;
  readonly name: string;
  readonly container: string;
}

export async function answerLogs(
  parts: ServerParts,
  target: LogTarget,
  query: URLSearchParams,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { worker, namespace, name, container } = target;
  if (worker === undefined) {
    say(response, 404, `pod "${name}" does not exist`);
    return;
  }
  const { pod } = worker;
  const containers = [
    ...containersOf(pod),
    ...initContainersOf(pod),
    ...ephemeralContainersOf(pod),
  ];
  if (!containers.some((each) => each.name === container)) {
    say(response, 404, `container ${container} is not valid for pod ${name}`);
    return;
  }
  const options = logOptions(query, parts.clock.now());
  if (typeof options === 'string') {
    say(response, 400, options);
    return;
  }
  const previous = query.get('previous') === 'true';
  const { runtime } = await worker.findContainer(container, signal);
  const all = runtime.containers.filter((fact) => fact.name === container);
  const fact = chooseContainer(all, previous);
  const which = `container "${container}" in pod "${name}"`;
  if (fact === undefined) {
    const text = whyNoLog(statusOf(worker, container), which);
    say(response, 400, previous ? `previous terminated ${which} not found` : text);
    return;
  }
  const { logs } = podPaths(parts.paths, worker.pod);
  const path = join(logs, containerLogPath(container, fact.attempt));
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  response.flushHeaders();
  try {
    await send(parts, { fact, path, options, response, signal });
  } catch (error) {
    if (!isMissing(error)) throw error;
    parts.log.warn('a container has no log file', { namespace, pod: name, path });
    response.end();
  }
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}

/** The newest; with `previous` the newest that has ended before the newest. */
function chooseContainer(
  all: readonly ContainerFact[],
  previous: boolean,
): ContainerFact | undefined {
  const begun = all.filter(({ state }) => state !== 'created');
  if (!previous) return begun[0];
  return begun[0]?.state === 'running'
    ? begun.find(({ state }) => state === 'exited')
    : (begun[1] ?? begun[0]);
}

function statusOf({ pod }: PodWorker, container: string): ContainerStatus | undefined {
  const { containerStatuses, initContainerStatuses, ephemeralContainerStatuses } = pod.status ?? {};
  return [containerStatuses, initContainerStatuses, ephemeralContainerStatuses]
    .flatMap((list) => list ?? [])
    .find(({ name }) => name === container);
}

/** Of a container that the runtime does not have: not yet, or no more. Upstream's words. */
export function whyNoLog(status: ContainerStatus | undefined, which: string): string {
  const id = status?.state?.terminated?.containerID ?? status?.lastState?.terminated?.containerID;
  if (id !== undefined && id !== '') return `unable to retrieve container logs for ${id}`;
  if (status?.state?.terminated !== undefined) return `${which} is terminated`;
  const reason = status?.state?.waiting?.reason ?? 'ContainerCreating';
  const words: Readonly<Record<string, string>> = {
    ErrImagePull: "image can't be pulled",
    ImagePullBackOff: 'trying and failing to pull image',
  };
  return `${which} is waiting to start: ${words[reason] ?? reason}`;
}

/** Text: what is wrong with the request. */
function logOptions(query: URLSearchParams, nowMs: number): LogOptions | string {
  const number = (name: string): number | undefined | string => {
    const text = query.get(name);
    if (text === null) return undefined;
    const value = Number(text);
    return Number.isInteger(value) && value >= 0 ? value : `${name} must be a whole number`;
  };
  const tailLines = number('tailLines');
  const limitBytes = number('limitBytes');
  const sinceSeconds = number('sinceSeconds');
  for (const value of [tailLines, limitBytes, sinceSeconds]) {
    if (typeof value === 'string') return value;
  }
  const sinceTime = query.get('sinceTime');
  if (sinceTime !== null && Number.isNaN(Date.parse(sinceTime))) return 'sinceTime is no time';
  const stream = query.get('stream')?.toLowerCase();
  return {
    follow: query.get('follow') === 'true',
    timestamps: query.get('timestamps') === 'true',
    tailLines: typeof tailLines === 'number' ? tailLines : undefined,
    limitBytes: typeof limitBytes === 'number' ? limitBytes : undefined,
    sinceMs:
      typeof sinceSeconds === 'number'
        ? nowMs - sinceSeconds * 1000
        : sinceTime === null
          ? undefined
          : Date.parse(sinceTime),
    stream: stream === 'stdout' || stream === 'stderr' ? stream : undefined,
  };
}

async function send(
  { runtime, clock }: ServerParts,
  request: {
    readonly fact: ContainerFact;
    readonly path: string;
    readonly options: LogOptions;
    readonly response: ServerResponse;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { fact, path, options, response, signal } = request;
  const gone = new AbortController();
  response.once('close', () => gone.abort(new Error('the reader has gone')));
  const either = AbortSignal.any([signal, gone.signal]);
  const isRunning = async (): Promise<boolean> => {
    try {
      return (await runtime.containerStatus(fact.id, { signal: either })).state === running;
    } catch (error) {
      // A runtime that is away for a while has not ended its containers.
      return !isGrpcCode(error, 'NOT_FOUND');
    }
  };
  try {
    for await (const text of readLog({ clock, isRunning }, path, options, either)) {
      await sent(response, text, either);
    }
  } catch (error) {
    if (!either.aborted) throw error;
  }
  response.end();
}

/** Resolves when it is gone, or can go no more: its bytes are then written over. */
function sent(response: ServerResponse, text: Buffer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done);
    response.write(text, done);
  });
}
