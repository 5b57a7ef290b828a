/**
 * One try of a probe, or one call of a lifecycle hook: exec, HTTP, TCP, gRPC or sleep.
 *
 * Chooses by what the action holds, finds the port by number or name, and says how it went. Probes
 * that cannot be made at all (the runtime does not answer) are `unknown`: nobody is condemned for
 * it.
 */
import type { Runtime } from '#cri';
import { isGrpcCode } from '#cri';
import type { Clock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import type { Container, LifecycleHandler, Probe } from '#resources/types/core-v1.ts';
import { grpcProbe } from './grpc-probe.ts';
import {
  httpProbe,
  isPlainAnswer,
  type ProbeLimits,
  type ProbeResult,
  type Purpose,
  tcpProbe,
} from './http-probe.ts';

export interface Subject {
  readonly container: Container;
  readonly containerId: string;
  readonly podIP: string;
}

export interface TryDeps {
  readonly runtime: Runtime;
  readonly clock: Clock;
}

const outputCharactersMax = 1024;

/** Default of `timeoutSeconds`. */
const timeoutSecondsDefault = 1;

export function tryProbe(
  deps: TryDeps,
  probe: Probe,
  subject: Subject,
  { signal }: { readonly signal: AbortSignal },
): Promise<ProbeResult> {
  const { grpc, timeoutSeconds = timeoutSecondsDefault } = probe;
  if (grpc === undefined) {
    const options = { signal, timeoutSeconds, purpose: 'probe' } as const;
    return orUnknown(() => perform(deps, probe, subject, options), signal);
  }
  const limits = { clock: deps.clock, timeoutMs: timeoutSeconds * 1000, signal };
  return orUnknown(() => grpcProbe(grpc, subject.podIP, limits), signal);
}

export function tryHandler(
  deps: TryDeps,
  handler: LifecycleHandler,
  subject: Subject,
  options: { readonly signal: AbortSignal; readonly timeoutSeconds: number },
): Promise<ProbeResult> {
  const { signal } = options;
  return orUnknown(async () => {
    const first = { ...options, purpose: 'lifecycle' } as const;
    const done = await perform(deps, handler, subject, first);
    const { httpGet } = handler;
    // As upstream: who says HTTPS and speaks HTTP is heard all the same.
    if (httpGet?.scheme !== 'HTTPS' || !isPlainAnswer(done)) return done;
    const plain = { httpGet: { ...httpGet, scheme: 'HTTP' } };
    return perform(deps, plain, subject, first);
  }, signal);
}

/** What cannot even be asked (a path that is none, say) is nobody's failure and ends nothing. */
async function orUnknown(
  work: () => Promise<ProbeResult>,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    return { result: 'unknown', message: messageOf(error) };
  }
}

function perform(
  deps: TryDeps,
  handler: LifecycleHandler,
  subject: Subject,
  options: {
    readonly signal: AbortSignal;
    readonly timeoutSeconds: number;
    readonly purpose: Purpose;
  },
): Promise<ProbeResult> {
  const { signal, timeoutSeconds, purpose } = options;
  const limits: ProbeLimits = { clock: deps.clock, timeoutMs: timeoutSeconds * 1000, signal };
  const { exec, httpGet, tcpSocket, sleep } = handler;
  if (exec !== undefined) return tryExec(deps, exec.command ?? [], subject, options);
  if (httpGet !== undefined) {
    const port = portOf(subject.container, httpGet.port);
    if (port === undefined) return Promise.resolve(unknownPort(httpGet.port));
    return httpProbe(httpGet, { host: httpGet.host || subject.podIP, port }, limits, purpose);
  }
  if (tcpSocket !== undefined) {
    const port = portOf(subject.container, tcpSocket.port);
    if (port === undefined) return Promise.resolve(unknownPort(tcpSocket.port));
    return tcpProbe({ host: tcpSocket.host || subject.podIP, port }, limits);
  }
  if (sleep !== undefined) return sleepFor(deps.clock, sleep.seconds * 1000, signal);
  return Promise.resolve({ result: 'unknown', message: 'the action is empty' });
}

async function sleepFor(clock: Clock, ms: number, signal: AbortSignal): Promise<ProbeResult> {
  await clock.sleep(ms, { signal });
  return { result: 'success', message: '' };
}

function unknownPort(port: number | string): ProbeResult {
  return { result: 'unknown', message: `couldn't find port: ${port}` };
}

export function portOf(container: Container, port: number | string): number | undefined {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(({ name }) => name === port)?.containerPort;
  if (named !== undefined) return named;
  const number = Number(port);
  return Number.isInteger(number) && number > 0 ? number : undefined;
}

async function tryExec(
  { runtime }: TryDeps,
  cmd: readonly string[],
  { containerId }: Subject,
  options: { readonly signal: AbortSignal; readonly timeoutSeconds: number },
): Promise<ProbeResult> {
  try {
    const { exitCode, stdout, stderr } = await runtime.execSync({ containerId, cmd }, options);
    if (exitCode === 0) return { result: 'success', message: '' };
    const output = Buffer.concat([stdout, stderr]).toString().slice(0, outputCharactersMax);
    return { result: 'failure', message: output };
  } catch (error) {
    if (options.signal.aborted || !isGrpcCode(error, 'DEADLINE_EXCEEDED')) throw error;
    const message = `command timed out: "${cmd.join(' ')}" timed out after ${options.timeoutSeconds}s`;
    return { result: 'failure', message };
  }
}
