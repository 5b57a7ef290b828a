/**
 * Takes the calls of the container runtime from a unix socket, one connection per call, in the
 * protocol of `cni-plugin.ts`, and answers them in CNI's own words.
 *
 * Outside input is parsed here, once; what a call does is in `cni-calls.ts`. Errors become CNI
 * error objects: the runtime shows their text in the pod's events.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { messageOf } from '#kit/error-message.ts';
import type { Logger } from '#kit/log.ts';
import { cniVersion, supportedVersions } from './cni-plugin.ts';
import type { PortMapping } from './host-ports.ts';
import type { Kernel } from './netlink.ts';
import { PluginConnection } from './plugin-connection.ts';

export interface CniCall {
  readonly containerId: string;
  readonly namespacePath: string;
  readonly interfaceName: string;
  /** `K8S_POD_NAMESPACE/K8S_POD_NAME` for logs; empty outside Kubernetes. */
  readonly pod: string;
  /** Ports of the node that are to lead to the pod. */
  readonly ports: readonly PortMapping[];
}

export interface CniResult {
  readonly hostName: string;
  readonly address: string;
  /** Of IPv6, where the cluster has both families. */
  readonly secondAddress?: string | undefined;
}

export interface CniCalls {
  add(call: CniCall, kernel: Kernel): Promise<CniResult>;
  delete(call: CniCall, kernel: Kernel): Promise<void>;
  /** Throws when something is missing. */
  check(call: CniCall): Promise<void>;
}

/** Listens until disposed. Only root may connect. */
export function listenForCalls(
  deps: { readonly log: Logger; readonly calls: CniCalls },
  options: { readonly socketPath: string },
): Promise<Server> {
  const { socketPath } = options;
  mkdirSync(path.dirname(socketPath), { recursive: true });
  rmSync(socketPath, { force: true });
  const server = createServer((socket) => receive(deps, socket));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, () => {
      chmodSync(socketPath, 0o600);
      resolve(server);
    });
  });
}

function receive(deps: { readonly log: Logger; readonly calls: CniCalls }, socket: Socket): void {
  const plugin = new PluginConnection(socket);
  plugin
    .request()
    .then((request) => answer(deps, request, plugin))
    .then(
      (text) => plugin.end(text),
      () => socket.destroy(),
    );
}

/** Exit code on the first line, then the JSON. */
export async function answer(
  { log, calls }: { readonly log: Logger; readonly calls: CniCalls },
  request: string,
  kernel: Kernel,
): Promise<string> {
  const { variables, version, ports } = parseRequest(request);
  const command = variables.get('CNI_COMMAND') ?? '';
  const call = callFrom(variables, ports);
  try {
    switch (command) {
      case 'VERSION':
        return succeed({ cniVersion: version, supportedVersions });
      case 'ADD':
        return succeed(formatResult(call, await calls.add(call, kernel), version));
      case 'DEL':
        await calls.delete(call, kernel);
        return '0\n';
      case 'CHECK':
        await calls.check(call);
        return '0\n';
      default:
        return fail(version, { code: 4, msg: `unknown command "${command}"` });
    }
  } catch (error) {
    log.warn('pod network call failed', { command, pod: call.pod, error });
    const msg = messageOf(error);
    return fail(version, { code: 100, msg });
  }
}

function parseRequest(request: string): {
  readonly variables: ReadonlyMap<string, string>;
  readonly version: string;
  readonly ports: readonly PortMapping[];
} {
  const split = request.indexOf('\n\n');
  const head = split < 0 ? request : request.slice(0, split);
  const variables = new Map<string, string>();
  for (const line of head.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) variables.set(line.slice(0, equals), line.slice(equals + 1));
  }
  const body = split < 0 ? '' : request.slice(split + 2);
  const version = /"cniVersion"\s*:\s*"([\d.]+)"/.exec(body)?.[1] ?? cniVersion;
  return { variables, version, ports: parsePorts(body) };
}

/**
 * `runtimeConfig.portMappings` of the configuration; what is no port is left out. Some runtimes
 * write the names of the fields with a capital first letter.
 */
function parsePorts(body: string): readonly PortMapping[] {
  if (!body.includes('"portMappings"')) return [];
  // Parse boundary: each field is checked below.
  const { runtimeConfig } = JSON.parse(body) as {
    readonly runtimeConfig?: { readonly portMappings?: readonly object[] | null };
  };
  return (runtimeConfig?.portMappings ?? [])
    .map((given) => {
      const fields = new Map<string, unknown>(
        Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]),
      );
      return {
        protocol: String(fields.get('protocol') ?? 'tcp').toLowerCase(),
        hostIP: String(fields.get('hostip') ?? ''),
        hostPort: Number(fields.get('hostport')),
        containerPort: Number(fields.get('containerport')),
      };
    })
    .filter(({ hostPort, containerPort }) => isPort(hostPort) && isPort(containerPort));
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value < 65_536;
}

function callFrom(variables: ReadonlyMap<string, string>, ports: readonly PortMapping[]): CniCall {
  const more = new Map(
    (variables.get('CNI_ARGS') ?? '').split(';').map((pair): [string, string] => {
      const [key = '', value = ''] = pair.split('=', 2);
      return [key, value];
    }),
  );
  const name = more.get('K8S_POD_NAME');
  return {
    containerId: variables.get('CNI_CONTAINERID') ?? '',
    namespacePath: variables.get('CNI_NETNS') ?? '',
    interfaceName: variables.get('CNI_IFNAME') ?? '',
    ports,
    pod: name === undefined ? '' : `${more.get('K8S_POD_NAMESPACE') ?? ''}/${name}`,
  };
}

function formatResult(call: CniCall, result: CniResult, version: string): object {
  // Before 1.0.0 each address named its family.
  const family = (name: string) => (version.startsWith('0.') ? { version: name } : {});
  const { address, secondAddress } = result;
  const second =
    secondAddress === undefined
      ? []
      : [{ ...family('6'), address: `${secondAddress}/128`, interface: 1 }];
  return {
    cniVersion: version,
    interfaces: [
      { name: result.hostName },
      { name: call.interfaceName, sandbox: call.namespacePath },
    ],
    ips: [{ ...family('4'), address: `${address}/32`, interface: 1 }, ...second],
    routes: [{ dst: '0.0.0.0/0' }, ...second.map(() => ({ dst: '::/0' }))],
    dns: {},
  };
}

function succeed(result: object): string {
  return `0\n${JSON.stringify(result)}`;
}

function fail(version: string, error: { readonly code: number; readonly msg: string }): string {
  return `1\n${JSON.stringify({ cniVersion: version, ...error })}`;
}
