/**
 * `coracle agent`: this machine as one more node of a cluster that runs elsewhere.
 *
 * With a join token it finds out which cluster the server is of and gets a certificate
 * (`join.ts`, `node-certificates.ts`); from then on the certificate is enough. The node itself is
 * the same process as in `coracle up` (`node-process.ts`); certificates are renewed while it runs.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, logRequests, openClient, openHttpTransport } from '#client';
import { aborted } from '#kit/aborted.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { KeyPair } from '#kit/x509.ts';
import { nodes } from '#resources/kinds.ts';
import { type ClusterFacts, readClusterFacts } from '../control-plane/cluster-facts.ts';
import { insist } from '../control-plane/ensure-object.ts';
import { type ComponentStatus, openControlSocket } from '../control-socket.ts';
import { keepRenewed } from '../credentials/certificate-renewal.ts';
import {
  type Asked,
  isUsable,
  readPair,
  requestCertificate,
  selfSigned,
  writePair,
  writeSecret,
} from '../credentials/node-certificates.ts';
import { keepLogsSmall } from '../log-rotation.ts';
import { isMachineEnding } from '../machine-end.ts';
import type { AgentConfig } from '../settings/agent-config.ts';
import { ConfigError } from '../settings/config.ts';
import { openAgentState, registerCluster } from '../state.ts';
import { StatusBoard } from '../status-board.ts';
import { addressTowards } from './address-towards.ts';
import { checkNodeFiles } from './check-node-files.ts';
import { discoverCluster } from './join.ts';
import { NodeProcess } from './node-process.ts';

const limits = { readyPollMs: 100 } as const;

interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface AgentOptions {
  readonly config: AgentConfig;
  readonly version: string;
  readonly progress: { component(status: ComponentStatus): void };
  readonly signal: AbortSignal;
}

/** Resolves when the node has stopped. `running` when this data dir is already in use. */
export async function runAgent(deps: Deps, options: AgentOptions): Promise<'stopped' | 'running'> {
  const { config } = options;
  const { dataDir } = config;
  if (existsSync(join(dataDir, 'server'))) {
    throw new ConfigError(`--data-dir ${dataDir}: a server has it; an agent needs one of its own`);
  }
  await checkNodeFiles(config);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const stopping = new AbortController();
  const status = new StatusBoard(deps, options);
  const stopped = Promise.withResolvers<{ stopped: true }>();
  // As a service it leaves them; who asks for the end says what is to be.
  let leavePods = async (): Promise<boolean> => config.leavePods && !(await isMachineEnding());
  const socket = await openControlSocket(dataDir, async (request) => {
    if (request.do === 'status') return status.snapshot();
    if (request.do !== 'stop') throw new Error('an agent has no store');
    leavePods = async () => request.leavePods;
    stopping.abort(new Error('asked to stop'));
    return stopped.promise;
  });
  if (socket === undefined) return 'running';
  const signal = AbortSignal.any([options.signal, stopping.signal]);
  try {
    await runJoined(deps, { config, status, signal, leavePods: () => leavePods() });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    stopped.resolve({ stopped: true });
    await socket[Symbol.asyncDispose]();
  }
  return 'stopped';
}

interface Run {
  readonly config: AgentConfig;
  readonly status: StatusBoard;
  readonly signal: AbortSignal;
  readonly leavePods: () => Promise<boolean>;
}

async function runJoined(deps: Deps, run: Run): Promise<void> {
  const { config, status, signal } = run;
  const { server, nodeName, dataDir } = config;
  const identity = await openIdentity(deps, config, signal);
  using connection = openHttpTransport({ server, ca: identity.caCert, ...identity.client });
  const transport = logRequests(connection, deps, config);
  const client = openClient({ transport, clock: deps.clock, userAgent: 'coracle-agent' });
  const facts = await readFacts(deps, client, signal);
  status.ready('joined', server);
  const apiPort = Number(new URL(server).port || 443);
  const state = await openAgentState(deps, { dataDir, nodeName, apiPort, facts });
  registerCluster(dataDir, state);
  const nodeIP = config.nodeIP ?? (await addressTowards(server));
  const serving = openServing(deps, identity, { nodeName, nodeIP });
  const settings = {
    ...{ dataDir, state, nodeIP, server, logLevel: config.logLevel },
    logsRequests: config.logsRequests,
    logToStderr: config.logToStderr,
    secondNodeIP: config.secondNodeIP,
    caCert: identity.caCert,
    client: identity.client,
    serving: serving.pair,
    imageDirs: [join(dataDir, 'images'), ...config.imageDirs],
    images: config.images,
    kubeletConfig: config.kubeletConfig,
  };
  const node = new NodeProcess(deps, settings, (report) => status.report(report));
  const scope = new Scope(signal);
  try {
    const { tls } = identity;
    const keep = (asked: Asked, first: KeyPair | undefined): void => {
      const use = (pair: KeyPair): void => {
        writePair(tls, asked.sort, pair);
        node.renew({ [asked.sort]: pair });
        if (asked.sort === 'client') connection.useCertificate(pair);
      };
      const renewing = { ...deps, client };
      scope.spawn((ending) => keepRenewed(renewing, { asked, first, use, signal: ending }));
    };
    keep({ nodeName, sort: 'client' }, identity.client);
    keep(serving.asked, serving.isSigned ? serving.pair : undefined);
    scope.spawn((ending) => keepLogsSmall(deps, { dataDir, signal: ending }));
    scope.spawn((ending) => tellReady(deps, { client, nodeName, status }, ending));
    await Promise.race([scope.join(), aborted(signal)]);
    await aborted(signal);
  } finally {
    scope.abort(signal.reason);
    const leavePods = await run.leavePods();
    await node.stop({ leavePods });
    if (!leavePods) {
      const { removeMachineTraces } = await import('../teardown.ts');
      await removeMachineTraces(deps, dataDir, state);
    }
  }
}

interface NodeIdentity {
  /** Where its certificates are. */
  readonly tls: string;
  readonly caCert: string;
  readonly client: KeyPair;
}

/** What was kept, as long as it holds; else a new certificate for the token. */
async function openIdentity(
  deps: Deps,
  config: AgentConfig,
  signal: AbortSignal,
): Promise<NodeIdentity> {
  const { server, token, nodeName } = config;
  const tls = join(config.dataDir, 'agent/tls');
  const caPath = join(tls, 'ca.crt');
  const kept = readPair(tls, 'client');
  if (kept !== undefined && existsSync(caPath)) {
    const caCert = readFileSync(caPath, 'utf8');
    const isGood = isUsable(kept, { nodeName, caCert, nowMs: deps.clock.now() });
    if (isGood) return { tls, caCert, client: kept };
  }
  if (token === undefined) {
    throw new ConfigError('--token: needed to join; "coracle token" on the server prints it');
  }
  const caCert = await discoverCluster(deps, { server, token, signal });
  const bearer = `${token.id}.${token.secret}`;
  using connection = openHttpTransport({ server, ca: caCert, token: bearer });
  const transport = logRequests(connection, deps, config);
  const client = openClient({ transport, clock: deps.clock, userAgent: 'coracle-agent' });
  const pair = await requestCertificate(
    { ...deps, client },
    { nodeName, sort: 'client' },
    { signal },
  );
  writePair(tls, 'client', pair);
  writeSecret(caPath, caCert);
  return { tls, caCert, client: pair };
}

/** The server may be on its way up: the same machine room has had the same power cut. */
async function readFacts(deps: Deps, client: Client, signal: AbortSignal): Promise<ClusterFacts> {
  let facts: ClusterFacts | undefined;
  const read = async (): Promise<void> => {
    facts = await readClusterFacts(client, { signal });
  };
  await insist(deps, 'this node, for the server does not answer', read, signal);
  if (facts === undefined) throw new Error('the server did not say what cluster it is');
  return facts;
}

function openServing(
  deps: Deps,
  { tls, caCert }: NodeIdentity,
  { nodeName, nodeIP }: { readonly nodeName: string; readonly nodeIP: string },
): { readonly asked: Asked; readonly pair: KeyPair; readonly isSigned: boolean } {
  const names = { nodeName, dnsNames: [nodeName], ipAddresses: [nodeIP] };
  const asked: Asked = { ...names, sort: 'serving' };
  const kept = readPair(tls, 'serving');
  if (kept !== undefined && isUsable(kept, { nodeName, caCert, nowMs: deps.clock.now(), nodeIP })) {
    return { asked, pair: kept, isSigned: true };
  }
  return { asked, pair: selfSigned(deps, names), isSigned: false };
}

async function tellReady(
  deps: Deps,
  of: { readonly client: Client; readonly nodeName: string; readonly status: StatusBoard },
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    // It is not there before the node's process has made it.
    const node = await of.client.get(nodes, { name: of.nodeName }, { signal }).catch(() => {
      signal.throwIfAborted();
      return undefined;
    });
    const { conditions = [] } = node?.status ?? {};
    if (conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) break;
    await deps.clock.sleep(limits.readyPollMs, { signal });
  }
  of.status.ready('node', of.nodeName);
}
