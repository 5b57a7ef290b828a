/**
 * What plugins and the kubelet say to each other: the messages and calls of plugin registration
 * (v1), device plugins (v1beta1), dynamic resources (v1 and v1beta1, alike on the wire), health of
 * their devices (v1alpha1) and pod resources (v1), as public in `k8s.io/kubelet/pkg/apis` of
 * Kubernetes v1.36; names in camel case.
 *
 * A `Call` has both ends: `client` for whoever asks, `serve` and `serveStream` for whoever answers
 * (tests answer as plugins do).
 */
import type { Method, Served } from '#kit/grpc.ts';
import { type Message, type MessageInput, ProtobufCodec } from '#kit/protobuf.ts';

const messages = {
  Empty: {},

  PluginInfo: {
    type: [1, 'string'],
    name: [2, 'string'],
    endpoint: [3, 'string'],
    supportedVersions: [4, 'repeated string'],
  },
  RegistrationStatus: { pluginRegistered: [1, 'bool'], error: [2, 'string'] },

  DevicePluginOptions: {
    preStartRequired: [1, 'bool'],
    getPreferredAllocationAvailable: [2, 'bool'],
  },
  RegisterRequest: {
    version: [1, 'string'],
    endpoint: [2, 'string'],
    resourceName: [3, 'string'],
    options: [4, 'DevicePluginOptions'],
  },
  ListAndWatchResponse: { devices: [1, 'repeated Device'] },
  Device: { id: [1, 'string'], health: [2, 'string'], topology: [3, 'TopologyInfo'] },
  TopologyInfo: { nodes: [1, 'repeated NUMANode'] },
  NUMANode: { id: [1, 'int64'] },
  PreStartContainerRequest: { deviceIds: [1, 'repeated string'] },
  PreferredAllocationRequest: {
    containerRequests: [1, 'repeated ContainerPreferredAllocationRequest'],
  },
  ContainerPreferredAllocationRequest: {
    availableDeviceIds: [1, 'repeated string'],
    mustIncludeDeviceIds: [2, 'repeated string'],
    allocationSize: [3, 'int32'],
  },
  PreferredAllocationResponse: {
    containerResponses: [1, 'repeated ContainerPreferredAllocationResponse'],
  },
  ContainerPreferredAllocationResponse: { deviceIds: [1, 'repeated string'] },
  AllocateRequest: { containerRequests: [1, 'repeated ContainerAllocateRequest'] },
  ContainerAllocateRequest: { deviceIds: [1, 'repeated string'] },
  AllocateResponse: { containerResponses: [1, 'repeated ContainerAllocateResponse'] },
  ContainerAllocateResponse: {
    envs: [1, 'map<string,string>'],
    mounts: [2, 'repeated Mount'],
    devices: [3, 'repeated DeviceSpec'],
    annotations: [4, 'map<string,string>'],
    cdiDevices: [5, 'repeated CDIDevice'],
  },
  CDIDevice: { name: [1, 'string'] },
  Mount: { containerPath: [1, 'string'], hostPath: [2, 'string'], readOnly: [3, 'bool'] },
  DeviceSpec: { containerPath: [1, 'string'], hostPath: [2, 'string'], permissions: [3, 'string'] },

  Claims: { claims: [1, 'repeated Claim'] },
  Claim: { namespace: [1, 'string'], uid: [2, 'string'], name: [3, 'string'] },
  NodePrepareResourcesResponse: { claims: [1, 'map<string,NodePrepareResourceResponse>'] },
  NodePrepareResourceResponse: { devices: [1, 'repeated ClaimDevice'], error: [2, 'string'] },
  ClaimDevice: {
    requestNames: [1, 'repeated string'],
    poolName: [2, 'string'],
    deviceName: [3, 'string'],
    cdiDeviceIds: [4, 'repeated string'],
    shareId: [5, 'string'],
  },
  NodeUnprepareResourcesResponse: { claims: [1, 'map<string,NodeUnprepareResourceResponse>'] },
  NodeUnprepareResourceResponse: { error: [1, 'string'] },

  'enum HealthStatus': { UNKNOWN: 0, HEALTHY: 1, UNHEALTHY: 2 },
  DeviceIdentifier: { poolName: [1, 'string'], deviceName: [2, 'string'] },
  DeviceHealth: {
    device: [1, 'DeviceIdentifier'],
    health: [2, 'HealthStatus'],
    lastUpdatedTime: [3, 'int64'],
    healthCheckTimeoutSeconds: [4, 'int64'],
    message: [5, 'string'],
  },
  NodeWatchResourcesResponse: { devices: [1, 'repeated DeviceHealth'] },

  ListPodResourcesResponse: { podResources: [1, 'repeated PodResources'] },
  PodResources: {
    name: [1, 'string'],
    namespace: [2, 'string'],
    containers: [3, 'repeated ContainerResources'],
  },
  ContainerResources: {
    name: [1, 'string'],
    devices: [2, 'repeated ContainerDevices'],
    cpuIds: [3, 'repeated int64'],
    memory: [4, 'repeated ContainerMemory'],
    dynamicResources: [5, 'repeated DynamicResource'],
  },
  ContainerMemory: {
    memoryType: [1, 'string'],
    size: [2, 'uint64'],
    topology: [3, 'TopologyInfo'],
  },
  ContainerDevices: {
    resourceName: [1, 'string'],
    deviceIds: [2, 'repeated string'],
    topology: [3, 'TopologyInfo'],
  },
  DynamicResource: {
    claimName: [2, 'string'],
    claimNamespace: [3, 'string'],
    claimResources: [4, 'repeated ClaimResource'],
  },
  ClaimResource: {
    cdiDevices: [1, 'repeated CDIDevice'],
    driverName: [2, 'string'],
    poolName: [3, 'string'],
    deviceName: [4, 'string'],
    shareId: [5, 'string'],
  },
  AllocatableResourcesResponse: {
    devices: [1, 'repeated ContainerDevices'],
    cpuIds: [2, 'repeated int64'],
    memory: [3, 'repeated ContainerMemory'],
  },
  GetPodResourcesRequest: { podName: [1, 'string'], podNamespace: [2, 'string'] },
  GetPodResourcesResponse: { podResources: [1, 'PodResources'] },
} as const;

type Table = typeof messages;
export type MessageName = keyof Table & string;
export type Received<N extends MessageName> = Message<Table, N>;
export type Sent<N extends MessageName> = MessageInput<Table, N>;

export const codec = new ProtobufCodec(messages);

export interface Call<Q extends MessageName, A extends MessageName> {
  readonly client: Method<Sent<Q>, Received<A>>;
  readonly serve: (answer: (request: Received<Q>) => Promise<Sent<A>>) => Served;
  readonly serveStream: (
    stream: (request: Received<Q>, signal: AbortSignal) => AsyncIterable<Sent<A>>,
  ) => Served;
}

function call<Q extends MessageName, A extends MessageName>(
  path: string,
  asked: Q,
  answered: A,
): Call<Q, A> {
  const server = {
    path,
    decode: (bytes: Uint8Array): unknown => codec.decode(asked, bytes),
    // What `serve` and `serveStream` take is of these types.
    encode: (response: unknown): Uint8Array => codec.encode(answered, response as Sent<A>),
  };
  return {
    client: {
      path,
      encode: (request) => codec.encode(asked, request),
      decode: (bytes) => codec.decode(answered, bytes),
    },
    // The request is what `decode` above has made.
    serve: (answer) => ({ ...server, answer: (request) => answer(request as Received<Q>) }),
    serveStream: (stream) => ({
      ...server,
      stream: (request, signal) => stream(request as Received<Q>, signal),
    }),
  };
}

export const registration = {
  getInfo: call('/pluginregistration.Registration/GetInfo', 'Empty', 'PluginInfo'),
  notify: call(
    '/pluginregistration.Registration/NotifyRegistrationStatus',
    'RegistrationStatus',
    'Empty',
  ),
} as const;

export const devicePlugin = {
  register: call('/v1beta1.Registration/Register', 'RegisterRequest', 'Empty'),
  options: call('/v1beta1.DevicePlugin/GetDevicePluginOptions', 'Empty', 'DevicePluginOptions'),
  listAndWatch: call('/v1beta1.DevicePlugin/ListAndWatch', 'Empty', 'ListAndWatchResponse'),
  preferred: call(
    '/v1beta1.DevicePlugin/GetPreferredAllocation',
    'PreferredAllocationRequest',
    'PreferredAllocationResponse',
  ),
  allocate: call('/v1beta1.DevicePlugin/Allocate', 'AllocateRequest', 'AllocateResponse'),
  preStart: call('/v1beta1.DevicePlugin/PreStartContainer', 'PreStartContainerRequest', 'Empty'),
} as const;

/** The services that a driver may name, the newest first. */
export const claimServices = ['v1.DRAPlugin', 'v1beta1.DRAPlugin'] as const;
export type ClaimService = (typeof claimServices)[number];

export function claimCalls(service: ClaimService) {
  const name = `/k8s.io.kubelet.pkg.apis.dra.${service}`;
  return {
    prepare: call(`${name}/NodePrepareResources`, 'Claims', 'NodePrepareResourcesResponse'),
    unprepare: call(`${name}/NodeUnprepareResources`, 'Claims', 'NodeUnprepareResourcesResponse'),
  };
}

export const watchHealth = call(
  '/v1alpha1.DRAResourceHealth/NodeWatchResources',
  'Empty',
  'NodeWatchResourcesResponse',
);

export const podResources = {
  list: call('/v1.PodResourcesLister/List', 'Empty', 'ListPodResourcesResponse'),
  allocatable: call(
    '/v1.PodResourcesLister/GetAllocatableResources',
    'Empty',
    'AllocatableResourcesResponse',
  ),
  get: call('/v1.PodResourcesLister/Get', 'GetPodResourcesRequest', 'GetPodResourcesResponse'),
} as const;
