/**
 * Composition root: which roles run here, how they are wired, and how all of it stops.
 *
 * `runCluster` is `coracle up` and `coracle server`: keep the state, open the control plane, start
 * the node's process beside it, report progress, and take everything down again when the signal
 * aborts. Next in the walk: `apiserver/http.ts`.
 *
 * Beside this file: `commands/` is what can be typed, `settings/` and `kubelet-settings/` what it
 * means, `credentials/` certificates and kubeconfigs, `control-plane/` and `node/` what runs in
 * their processes and threads, `encryption/` how values are kept on disk.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { aborted } from '#kit/aborted.ts';
import { Scope } from '#kit/scope.ts';
import { dnsSlicePath } from './control-plane/cluster-dns.ts';
import {
  apiServiceIP,
  type ClusterDeps,
  type ControlPlane,
  openControlPlane,
} from './control-plane/control-plane.ts';
import { type ComponentStatus, type ControlRequest, openControlSocket } from './control-socket.ts';
import { type Certificates, openCertificates } from './credentials/certificates.ts';
import { openServerToken } from './credentials/join-token.ts';
import {
  type Access,
  kubeconfigText,
  mergeContext,
  removeContext,
} from './credentials/kubeconfig.ts';
import { keepLogsSmall } from './log-rotation.ts';
import { isMachineEnding } from './machine-end.ts';
import { checkNodeFiles } from './node/check-node-files.ts';
import { NodeProcess } from './node/node-process.ts';
import { type ClusterConfig, ConfigError } from './settings/config.ts';
import { type ClusterState, isFree, openState, registerCluster } from './state.ts';
import { StatusBoard } from './status-board.ts';

const contextName = 'coracle';

/** What the user sees while a cluster starts; all of it optional to look at. */
export interface Progress {
  component(status: ComponentStatus): void;
  ready(access: {
    readonly kubeconfig: string;
    readonly isCurrentContext: boolean;
    /** Whether the store survives the process. */
    readonly keepsObjects: boolean;
  }): void;
}

export interface RunOptions {
  readonly config: ClusterConfig;
  readonly version: string;
  /** The user's kubeconfig, or undefined to leave it alone. */
  readonly userKubeconfig: string | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const limits = { nodePollMs: 25, retryPortMs: 100, retryPortAttempts: 20 } as const;

/** Resolves when the cluster has stopped. `running` when this data dir is already in use. */
export async function runCluster(
  deps: ClusterDeps,
  options: RunOptions,
): Promise<'stopped' | 'running'> {
  const { config } = options;
  const stopping = new AbortController();
  const signal = AbortSignal.any([options.signal, stopping.signal]);
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  const status = new StatusBoard(deps, options);
  // As a service it leaves them; who asks for the end says what is to be.
  let leavePods = async (): Promise<boolean> => config.leavePods && !(await isMachineEnding());
  const stopped = Promise.withResolvers<{ stopped: true }>();
  const opened: Opened = { controlPlane: undefined };
  const socket = await openControlSocket(config.dataDir, async (request) => {
    if (request.do === 'status') return status.snapshot();
    if (request.do !== 'stop') {
      if (opened.controlPlane === undefined) throw new Error('the cluster is not started yet');
      return answerAboutStore(opened.controlPlane, request);
    }
    leavePods = async () => request.leavePods;
    stopping.abort(new Error('asked to stop'));
    return stopped.promise;
  });
  if (socket === undefined) return 'running';
  try {
    const stop = { signal, leavePods: () => leavePods() };
    await runOpened(deps, options, { status, opened, stop });
  } finally {
    stopped.resolve({ stopped: true });
    await socket[Symbol.asyncDispose]();
  }
  return 'stopped';
}

/** What the control socket reaches once it is there. */
interface Opened {
  controlPlane: ControlPlane | undefined;
}

async function answerAboutStore(
  controlPlane: ControlPlane,
  request: Exclude<ControlRequest, { readonly do: 'status' | 'stop' }>,
): Promise<unknown> {
  switch (request.do) {
    case 'backup':
      return await controlPlane.backup(request.file);
    case 'stored':
      return { stored: await controlPlane.stored(request.key) };
    case 'removeUnreadable':
      await controlPlane.removeUnreadable(request.key);
      return {};
    default:
      return request satisfies never;
  }
}

async function runOpened(
  deps: ClusterDeps,
  options: RunOptions,
  run: {
    readonly status: StatusBoard;
    readonly opened: Opened;
    readonly stop: { readonly signal: AbortSignal; readonly leavePods: () => Promise<boolean> };
  },
): Promise<void> {
  const { config } = options;
  const { status, opened, stop } = run;
  if (config.node === 'containerd') await checkNodeFiles(config);
  const state = await openState(deps, config);
  await requireFreePort(deps, config, state);
  const nodeIP = config.nodeIP ?? machineAddress();
  const { advertiseAddress } = config.server;
  const extraNames = [
    ...config.tlsSAN,
    ...(advertiseAddress === undefined ? [] : [advertiseAddress]),
  ];
  const openOwn = (): Certificates =>
    openCertificates(deps, {
      dataDir: config.dataDir,
      nodeName: state.nodeName,
      nodeIP,
      serviceIP: apiServiceIP(state),
      clusterDomain: state.clusterDomain,
      extraNames,
    });
  const certificates = openOwn();
  // Only a real node makes things outside the data dir.
  if (config.node === 'containerd') registerCluster(config.dataDir, state);
  const caCert = certificates.ca.cert;
  const token = openServerToken(deps, { dataDir: config.dataDir, caCert });
  const parts = { config, state, certificates, nodeIP, token, status };
  // The node's process loads its modules and starts containerd while the control plane opens.
  const node = config.node === 'containerd' ? startNode(deps, parts) : undefined;
  let controlPlane: ControlPlane | undefined;
  try {
    const renew = (): Certificates => {
      const fresh = openOwn();
      if (controlPlane !== undefined) writeAdmin(config, accessOf(controlPlane, fresh));
      return fresh;
    };
    controlPlane = await openControlPlane(deps, { ...parts, renew });
    opened.controlPlane = controlPlane;
    status.ready('control plane', `https://127.0.0.1:${controlPlane.port}`);
    await serve(deps, options, { ...parts, controlPlane, signal: stop.signal });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    const leavePods = await stop.leavePods();
    await controlPlane?.drain().catch(() => {});
    await node?.stop({ leavePods });
    await controlPlane?.[Symbol.asyncDispose]();
    if (node !== undefined && !leavePods) {
      const { removeMachineTraces } = await import('./teardown.ts');
      await removeMachineTraces(deps, config.dataDir, state);
    }
    await removeUserContext(deps, options.userKubeconfig);
  }
}

interface Parts {
  readonly config: ClusterConfig;
  readonly state: ClusterState;
  readonly certificates: Certificates;
  readonly nodeIP: string;
  readonly status: StatusBoard;
}

/** From an open control plane to the end of the cluster. */
async function serve(
  deps: ClusterDeps,
  options: RunOptions,
  parts: Parts & { readonly controlPlane: ControlPlane; readonly signal: AbortSignal },
): Promise<void> {
  const { config, certificates, controlPlane, signal } = parts;
  const access = accessOf(controlPlane, certificates);
  const kubeconfig = writeAdmin(config, access);
  await waitUntilUsable(deps, parts);
  const isCurrentContext = await mergeUserContext(deps, options.userKubeconfig, access);
  const keepsObjects = config.store !== 'memory';
  options.progress.ready({ kubeconfig, isCurrentContext, keepsObjects });
  await using scope = new Scope(signal);
  scope.spawn((ending) => keepLogsSmall(deps, { dataDir: config.dataDir, signal: ending }));
  await Promise.race([controlPlane.ended, aborted(signal)]);
}

function writeAdmin({ dataDir }: ClusterConfig, access: Access): string {
  const kubeconfig = join(dataDir, 'admin.kubeconfig');
  writeFileSync(kubeconfig, kubeconfigText(contextName, access), { mode: 0o600 });
  return kubeconfig;
}

function accessOf(controlPlane: ControlPlane, certificates: Certificates): Access {
  return {
    server: `https://127.0.0.1:${controlPlane.port}`,
    caCert: certificates.ca.cert,
    client: certificates.admin,
  };
}

function startNode(deps: ClusterDeps, parts: Parts): NodeProcess {
  const { config, state, certificates, nodeIP, status } = parts;
  return new NodeProcess(
    deps,
    {
      dataDir: config.dataDir,
      state,
      nodeIP,
      secondNodeIP: config.secondNodeIP,
      server: `https://127.0.0.1:${state.apiPort}`,
      caCert: certificates.ca.cert,
      client: certificates.node,
      serving: certificates.kubelet,
      imageDirs: [join(config.dataDir, 'images'), ...config.imageDirs],
      images: config.images,
      kubeletConfig: config.kubeletConfig,
      logLevel: config.logLevel,
      logsRequests: config.logsRequests,
      logToStderr: config.logToStderr,
    },
    (report) => status.report(report),
  );
}

/** The node is Ready and, where there is one, the cluster's DNS answers. */
async function waitUntilUsable(
  deps: ClusterDeps,
  parts: Parts & { readonly controlPlane: ControlPlane; readonly signal: AbortSignal },
): Promise<void> {
  const { config, state, controlPlane, status, signal } = parts;
  if (config.node === 'none') return;
  const admin = controlPlane.server.direct({
    name: 'kubernetes-admin',
    groups: ['system:masters', 'system:authenticated'],
  });
  const until = async (path: string, isSo: (text: string) => boolean): Promise<void> => {
    for (;;) {
      signal.throwIfAborted();
      const answer = await admin.send({ method: 'GET', path, headers: {} }, { signal });
      if (answer.status === 200 && isSo(await bodyOf(answer.body))) return;
      await deps.clock.sleep(limits.nodePollMs, { signal });
    }
  };
  const path = config.node === 'hollow' ? '/api/v1/nodes' : `/api/v1/nodes/${state.nodeName}`;
  await until(path, hasReadyNode);
  status.ready('node', config.node === 'hollow' ? `${config.nodes} hollow` : state.nodeName);
  if (config.node !== 'containerd') return;
  await status.waitFor('dns', signal);
  // It answers, and pods find it.
  await until(dnsSlicePath(state.dnsPort), () => true);
  await status.waitFor('images', signal);
}

/** Looks for a Ready condition that is True, in a Node or a list of Nodes. */
function hasReadyNode(text: string): boolean {
  interface NodeLike {
    readonly status?: { readonly conditions?: readonly { type: string; status: string }[] };
  }
  const answer: NodeLike & { readonly items?: readonly NodeLike[] } = JSON.parse(text);
  return (answer.items ?? [answer]).some((node) =>
    node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
  );
}

async function bodyOf(body: Uint8Array | AsyncIterable<Uint8Array>): Promise<string> {
  if (body instanceof Uint8Array) return Buffer.from(body).toString('utf8');
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

async function mergeUserContext(
  deps: ClusterDeps,
  path: string | undefined,
  access: Access,
): Promise<boolean> {
  if (path === undefined) return false;
  try {
    return await mergeContext(path, contextName, access);
  } catch (error) {
    deps.log.warn('context not merged into kubeconfig', { path, error });
    return false;
  }
}

async function removeUserContext(deps: ClusterDeps, path: string | undefined): Promise<void> {
  if (path === undefined) return;
  try {
    await removeContext(path, contextName);
  } catch (error) {
    deps.log.warn('context not removed from kubeconfig', { path, error });
  }
}

/** A port of ours may still be closing after a crash, so a taken one is tried for two seconds. */
async function requireFreePort(
  deps: ClusterDeps,
  config: ClusterConfig,
  state: ClusterState,
): Promise<void> {
  const { apiPort } = state;
  for (let attempt = 0; attempt < limits.retryPortAttempts; attempt++) {
    if (await isFree(apiPort, config.bindAddress)) return;
    await deps.clock.sleep(limits.retryPortMs, { signal: new AbortController().signal });
  }
  throw new ConfigError(
    `port ${apiPort} is in use by another program; choose another with --api-port`,
  );
}

/** The first address of this machine that is not loopback, IPv4. */
function machineAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const usable = addresses.find(
    ({ family, internal, address }) =>
      family === 'IPv4' && !internal && !address.startsWith('169.254.'),
  );
  return usable?.address ?? '127.0.0.1';
}
