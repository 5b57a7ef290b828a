/**
 * The last words of a container: its termination message file, or the end of its log.
 *
 * Read once per ended container. With FallbackToLogsOnError a container that failed without a
 * message gets the last lines of its log instead.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '#resources/types/core-v1.ts';
import { parseLogLine } from '../logs/cri-log.ts';
import type { KubeletParts } from '../parts.ts';
import {
  type ContainerFact,
  ephemeralContainersOf,
  type RuntimeFacts,
  startOrder,
} from './pod-facts.ts';
import { containerLogPath, podPaths, terminationFile } from './pod-paths.ts';

const limits = { fileBytesMax: 4096, logBytesMax: 2048, logLinesMax: 80 } as const;

export class TerminationMessages {
  readonly #parts: Pick<KubeletParts, 'paths'>;
  readonly #messages = new Map<string, string>();

  constructor(parts: Pick<KubeletParts, 'paths'>) {
    this.#parts = parts;
  }

  /** By container id. */
  get messages(): ReadonlyMap<string, string> {
    return this.#messages;
  }

  read(pod: Pod, { containers }: RuntimeFacts): void {
    const ids = new Set(containers.map(({ id }) => id));
    for (const id of this.#messages.keys()) if (!ids.has(id)) this.#messages.delete(id);
    for (const fact of containers) {
      if (fact.state !== 'exited' || this.#messages.has(fact.id)) continue;
      this.#messages.set(fact.id, this.#readOne(pod, fact));
    }
  }

  #readOne(pod: Pod, { name, attempt, exitCode }: ContainerFact): string {
    const place = podPaths(this.#parts.paths, pod);
    const file = terminationFile(place, name, attempt);
    const message = readEnd(file, limits.fileBytesMax).toString();
    if (message !== '' || exitCode === 0) return message;
    const all = [...startOrder(pod), ...ephemeralContainersOf(pod)];
    const container = all.find((each) => each.name === name);
    if (container?.terminationMessagePolicy !== 'FallbackToLogsOnError') return '';
    const log = readEnd(join(place.logs, containerLogPath(name, attempt)), limits.logBytesMax * 4);
    return lastLines(log);
  }
}

function lastLines(log: Buffer): string {
  const lines = log.toString().split('\n').slice(-limits.logLinesMax);
  const text = lines
    .map((line) => parseLogLine(Buffer.from(line)))
    .map((record) => record && `${record.content}${record.isPartial ? '' : '\n'}`)
    .join('');
  return text.slice(-limits.logBytesMax);
}

function readEnd(path: string, bytesMax: number): Buffer {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return Buffer.alloc(0);
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const length = Math.min(size, bytesMax);
    const buffer = Buffer.alloc(length);
    readSync(file, buffer, 0, length, size - length);
    return buffer;
  } finally {
    closeSync(file);
  }
}
