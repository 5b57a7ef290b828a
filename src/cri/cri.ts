/**
 * The container runtime as the kubelet sees it: CRI v1 calls with types, and news of containers.
 *
 * `openRuntime` connects to any runtime that serves CRI v1 on a socket; `openContainerd`
 * (`containerd.ts`) starts one of our own first. Messages are described in `messages.ts`. Calls
 * fail with `GrpcError`; an id that is gone is `NOT_FOUND`. `events` is a hint, not a record:
 * whoever listens also relists, because a runtime may not serve it and messages may be lost.
 */
import type { Clock } from '#kit/clock.ts';
import { type GrpcChannel, isGrpcCode, type Method, openGrpcChannel } from '#kit/grpc.ts';
import type { Logger } from '#kit/log.ts';
import { untilNoneGoes } from './list-stats.ts';
import { codec, type Messages, type Received, type Sent } from './messages.ts';

export { GrpcError, isGrpcCode } from '#kit/grpc.ts';
export {
  type Containerd,
  type ContainerdOptions,
  containerdLayout,
  openContainerd,
} from './containerd.ts';
export type { Received, Sent } from './messages.ts';
export type { Registries, RegistryAccess } from './registry-hosts.ts';

export interface Cancel {
  readonly signal: AbortSignal;
}

/** A container or sandbox whose main process ended, or that ran out of memory. */
export interface RuntimeEvent {
  readonly type: 'exit' | 'oom';
  readonly id: string;
}

export interface Runtime extends Disposable {
  version(options: Cancel): Promise<Received<'VersionResponse'>>;
  status(options: Cancel): Promise<Received<'StatusResponse'>>;
  /** Who makes cgroups for the runtime; undefined when it does not tell (containerd before 2.0). */
  cgroupDriver(options: Cancel): Promise<'systemd' | 'cgroupfs' | undefined>;
  /** Ranges of the node's pods, for networks that are made of a template. */
  setPodRange(podCidr: string, options: Cancel): Promise<void>;
  runPodSandbox(request: Sent<'RunPodSandboxRequest'>, options: Cancel): Promise<string>;
  stopPodSandbox(podSandboxId: string, options: Cancel): Promise<void>;
  removePodSandbox(podSandboxId: string, options: Cancel): Promise<void>;
  podSandboxStatus(podSandboxId: string, options: Cancel): Promise<Received<'PodSandboxStatus'>>;
  listPodSandboxes(
    filter: Sent<'PodSandboxFilter'>,
    options: Cancel,
  ): Promise<readonly Received<'PodSandbox'>[]>;
  createContainer(request: Sent<'CreateContainerRequest'>, options: Cancel): Promise<string>;
  startContainer(containerId: string, options: Cancel): Promise<void>;
  /** TERM, then KILL after `graceSeconds`; resolves when the container has ended. */
  stopContainer(
    containerId: string,
    options: Cancel & { readonly graceSeconds: number },
  ): Promise<void>;
  removeContainer(containerId: string, options: Cancel): Promise<void>;
  containerStatus(containerId: string, options: Cancel): Promise<Received<'ContainerStatus'>>;
  listContainers(
    filter: Sent<'ContainerFilter'>,
    options: Cancel,
  ): Promise<readonly Received<'Container'>[]>;
  updateContainerResources(
    request: Sent<'UpdateContainerResourcesRequest'>,
    options: Cancel,
  ): Promise<void>;
  reopenContainerLog(containerId: string, options: Cancel): Promise<void>;
  /** Fails with DEADLINE_EXCEEDED when the command runs longer than its timeout. */
  execSync(
    request: { readonly containerId: string; readonly cmd: readonly string[] },
    options: Cancel & { readonly timeoutSeconds: number },
  ): Promise<Received<'ExecSyncResponse'>>;
  /** URLs of the runtime's streaming server, for one use soon. */
  exec(request: Sent<'ExecRequest'>, options: Cancel): Promise<string>;
  attach(request: Sent<'AttachRequest'>, options: Cancel): Promise<string>;
  portForward(request: Sent<'PortForwardRequest'>, options: Cancel): Promise<string>;
  containerStats(containerId: string, options: Cancel): Promise<Received<'ContainerStats'>>;
  listContainerStats(options: Cancel): Promise<readonly Received<'ContainerStats'>[]>;
  pullImage(request: Sent<'PullImageRequest'>, options: Cancel): Promise<string>;
  listImages(options: Cancel): Promise<readonly Received<'Image'>[]>;
  /** Undefined when the runtime does not have it. */
  imageStatus(image: string, options: Cancel): Promise<Received<'Image'> | undefined>;
  removeImage(image: string, options: Cancel): Promise<void>;
  imageFsInfo(options: Cancel): Promise<Received<'ImageFsInfoResponse'>>;
  /** Until the connection ends; then the caller relists and subscribes again. */
  events(options: Cancel): AsyncIterable<RuntimeEvent>;
}

export interface RuntimeOptions {
  /** Path of the runtime's socket. */
  readonly socketPath: string;
  /** Of the service for images, where that is another. */
  readonly imageSocketPath?: string | undefined;
  /** Longest that a call may take when nothing else is said. */
  readonly requestTimeoutMs?: number | undefined;
}

/** Longest that a call may take when nothing else is said. */
const callTimeoutMs = 120_000;
/** Pulling takes as long as the image is large; a stuck registry ends here. */
const pullTimeoutMs = 1_800_000;
/** Given to a call beyond the time that the runtime itself was asked to wait. */
const marginMs = 20_000;

export async function openRuntime(
  deps: { readonly clock: Clock; readonly log: Logger },
  { socketPath, imageSocketPath, requestTimeoutMs = callTimeoutMs }: RuntimeOptions,
): Promise<Runtime> {
  const channel = await openGrpcChannel(deps, `unix://${socketPath}`);
  const call = callsOf(channel, requestTimeoutMs);
  const ofImages =
    imageSocketPath === undefined
      ? undefined
      : await openGrpcChannel(deps, `unix://${imageSocketPath}`);
  return {
    ...sandboxCalls(call),
    ...containerCalls(call, { requestTimeoutMs }),
    ...streamCalls(call),
    ...imageCalls(ofImages === undefined ? call : callsOf(ofImages, requestTimeoutMs)),
    version: (options) =>
      call('RuntimeService/Version', 'VersionRequest', 'VersionResponse')({}, options),
    status: (options) =>
      call('RuntimeService/Status', 'StatusRequest', 'StatusResponse')({}, options),
    cgroupDriver: (options) => cgroupDriver(call, options),
    setPodRange: async (podCidr, options) => {
      const path = 'RuntimeService/UpdateRuntimeConfig';
      const send = call(path, 'UpdateRuntimeConfigRequest', 'UpdateRuntimeConfigResponse');
      await send({ runtimeConfig: { networkConfig: { podCidr } } }, options);
    },
    events: (options) => containerdEvents(channel, options),
    [Symbol.dispose]: () => {
      channel[Symbol.dispose]();
      ofImages?.[Symbol.dispose]();
    },
  };
}

type Name = keyof Messages & string;
type Options = Cancel & { readonly timeoutMs?: number };
type Call = <Q extends Name, A extends Name>(
  path: string,
  request: Q,
  response: A,
) => (request: Sent<Q>, options: Options) => Promise<Received<A>>;

function method<Q extends Name, A extends Name>(
  path: string,
  request: Q,
  response: A,
): Method<Sent<Q>, Received<A>> {
  return {
    path,
    encode: (message) => codec.encode(request, message),
    decode: (bytes) => codec.decode(response, bytes),
  };
}

function callsOf(channel: GrpcChannel, requestTimeoutMs: number): Call {
  return (path, request, response) => {
    const described = method(`/runtime.v1.${path}`, request, response);
    return (message, { signal, timeoutMs = requestTimeoutMs }) =>
      channel.unary(described, message, { signal, timeoutMs });
  };
}

async function cgroupDriver(
  call: Call,
  options: Cancel,
): Promise<'systemd' | 'cgroupfs' | undefined> {
  const path = 'RuntimeService/RuntimeConfig';
  const ask = call(path, 'RuntimeConfigRequest', 'RuntimeConfigResponse');
  try {
    const { linux } = await ask({}, options);
    if (linux === undefined) return undefined;
    return linux.cgroupDriver === 'SYSTEMD' ? 'systemd' : 'cgroupfs';
  } catch (error) {
    if (isGrpcCode(error, 'UNIMPLEMENTED')) return undefined;
    throw error;
  }
}

function sandboxCalls(call: Call) {
  const run = call('RuntimeService/RunPodSandbox', 'RunPodSandboxRequest', 'RunPodSandboxResponse');
  const stop = call('RuntimeService/StopPodSandbox', 'StopPodSandboxRequest', 'Empty');
  const remove = call('RuntimeService/RemovePodSandbox', 'RemovePodSandboxRequest', 'Empty');
  const list = call(
    'RuntimeService/ListPodSandbox',
    'ListPodSandboxRequest',
    'ListPodSandboxResponse',
  );
  const status = call(
    'RuntimeService/PodSandboxStatus',
    'PodSandboxStatusRequest',
    'PodSandboxStatusResponse',
  );
  return {
    runPodSandbox: async (request, options) => (await run(request, options)).podSandboxId,
    stopPodSandbox: async (podSandboxId, options) => {
      await stop({ podSandboxId }, options);
    },
    removePodSandbox: async (podSandboxId, options) => {
      await remove({ podSandboxId }, options);
    },
    podSandboxStatus: async (podSandboxId, options) =>
      found((await status({ podSandboxId }, options)).status, podSandboxId),
    listPodSandboxes: async (filter, options) => (await list({ filter }, options)).items,
  } satisfies Partial<Runtime>;
}

function containerCalls(call: Call, { requestTimeoutMs }: { readonly requestTimeoutMs: number }) {
  const create = call(
    'RuntimeService/CreateContainer',
    'CreateContainerRequest',
    'CreateContainerResponse',
  );
  const start = call('RuntimeService/StartContainer', 'StartContainerRequest', 'Empty');
  const stop = call('RuntimeService/StopContainer', 'StopContainerRequest', 'Empty');
  const remove = call('RuntimeService/RemoveContainer', 'RemoveContainerRequest', 'Empty');
  const status = call(
    'RuntimeService/ContainerStatus',
    'ContainerStatusRequest',
    'ContainerStatusResponse',
  );
  const list = call(
    'RuntimeService/ListContainers',
    'ListContainersRequest',
    'ListContainersResponse',
  );
  const update = call(
    'RuntimeService/UpdateContainerResources',
    'UpdateContainerResourcesRequest',
    'Empty',
  );
  const stats = call(
    'RuntimeService/ContainerStats',
    'ContainerStatsRequest',
    'ContainerStatsResponse',
  );
  const allStats = call(
    'RuntimeService/ListContainerStats',
    'ListContainerStatsRequest',
    'ListContainerStatsResponse',
  );
  return {
    createContainer: async (request, options) => (await create(request, options)).containerId,
    startContainer: async (containerId, options) => {
      await start({ containerId }, options);
    },
    stopContainer: async (containerId, { signal, graceSeconds }) => {
      const timeoutMs = graceSeconds * 1000 + requestTimeoutMs;
      await stop({ containerId, timeout: graceSeconds }, { signal, timeoutMs });
    },
    removeContainer: async (containerId, options) => {
      await remove({ containerId }, options);
    },
    containerStatus: async (containerId, options) =>
      found((await status({ containerId }, options)).status, containerId),
    listContainers: async (filter, options) => (await list({ filter }, options)).containers,
    updateContainerResources: async (request, options) => {
      await update(request, options);
    },
    containerStats: async (containerId, options) =>
      found((await stats({ containerId }, options)).stats, containerId),
    listContainerStats: async (options) => (await untilNoneGoes(() => allStats({}, options))).stats,
  } satisfies Partial<Runtime>;
}

function streamCalls(call: Call) {
  const reopen = call('RuntimeService/ReopenContainerLog', 'ReopenContainerLogRequest', 'Empty');
  const execSync = call('RuntimeService/ExecSync', 'ExecSyncRequest', 'ExecSyncResponse');
  const exec = call('RuntimeService/Exec', 'ExecRequest', 'ExecResponse');
  const attach = call('RuntimeService/Attach', 'AttachRequest', 'ExecResponse');
  const portForward = call('RuntimeService/PortForward', 'PortForwardRequest', 'ExecResponse');
  return {
    reopenContainerLog: async (containerId, options) => {
      await reopen({ containerId }, options);
    },
    execSync: ({ containerId, cmd }, { signal, timeoutSeconds }) =>
      execSync(
        { containerId, cmd, timeout: timeoutSeconds },
        { signal, timeoutMs: timeoutSeconds * 1000 + marginMs },
      ),
    exec: async (request, options) => (await exec(request, options)).url,
    attach: async (request, options) => (await attach(request, options)).url,
    portForward: async (request, options) => (await portForward(request, options)).url,
  } satisfies Partial<Runtime>;
}

function imageCalls(call: Call) {
  const pull = call('ImageService/PullImage', 'PullImageRequest', 'PullImageResponse');
  const list = call('ImageService/ListImages', 'ListImagesRequest', 'ListImagesResponse');
  const status = call('ImageService/ImageStatus', 'ImageStatusRequest', 'ImageStatusResponse');
  const remove = call('ImageService/RemoveImage', 'RemoveImageRequest', 'Empty');
  const fsInfo = call('ImageService/ImageFsInfo', 'ImageFsInfoRequest', 'ImageFsInfoResponse');
  return {
    pullImage: async (request, { signal }) =>
      (await pull(request, { signal, timeoutMs: pullTimeoutMs })).imageRef,
    listImages: async (options) => (await list({}, options)).images,
    imageStatus: async (image, options) => (await status({ image: { image } }, options)).image,
    removeImage: async (image, options) => {
      await remove({ image: { image } }, options);
    },
    imageFsInfo: (options) => fsInfo({}, options),
  } satisfies Partial<Runtime>;
}

/** Throws where the runtime answers for an id without saying anything about it. */
function found<T>(value: T | undefined, id: string): T {
  if (value === undefined) throw new Error(`the runtime sent no status for ${id}`);
  return value;
}

const subscribe = method(
  '/containerd.services.events.v1.Events/Subscribe',
  'SubscribeRequest',
  'EventEnvelope',
);

/** Containerd's own event service, since 1.6 and 1.7 do not serve CRI's GetContainerEvents. */
async function* containerdEvents(
  channel: GrpcChannel,
  { signal }: Cancel,
): AsyncIterable<RuntimeEvent> {
  const filters = ['topic=="/tasks/exit"', 'topic=="/tasks/oom"'];
  try {
    for await (const envelope of channel.stream(subscribe, { filters }, { signal })) {
      if (envelope.namespace !== 'k8s.io' || envelope.event === undefined) continue;
      const { containerId, id } = codec.decode('TaskEvent', envelope.event.value);
      const type = envelope.topic === '/tasks/oom' ? 'oom' : 'exit';
      // The second id of an exit names the process: commands run by exec have ids of their own.
      if (type === 'oom' || id === '' || id === containerId) yield { type, id: containerId };
    }
  } catch (error) {
    // A runtime without this service is no error: the caller relists.
    if (!isGrpcCode(error, 'UNIMPLEMENTED')) throw error;
  }
}
