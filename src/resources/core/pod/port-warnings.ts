/**
 * Ports of a pod's containers that contradict or repeat one another: the same port twice, one name
 * for two ports, an address of the node without a port of it. Allowed, and told to the client.
 */
import type { Container, ContainerPort } from '#resources/types/core-v1.ts';

interface Placed {
  readonly container: Container;
  /** `spec.containers[0]`. */
  readonly at: string;
}

interface Known {
  readonly port: ContainerPort;
  readonly at: string;
}

export function portWarnings(containers: readonly Placed[]): string[] {
  const warnings: string[] = [];
  const known = new Map<string, Known[]>();
  const ports = portsOf(containers);
  for (const { port, at } of ports) {
    const { containerPort, protocol = 'TCP', hostIP = '', hostPort = 0 } = port;
    if (hostIP !== '' && hostPort === 0) {
      warnings.push(`${at}: hostIP set without hostPort: ${described(port)}`);
    }
    const key = `${containerPort}/${protocol}`;
    const others = known.get(key);
    for (const other of others ?? []) {
      const text = relation(port, other.port);
      if (text !== undefined) warnings.push(`${at}: ${text} port definition with ${other.at}`);
    }
    if (others === undefined) known.set(key, [{ port, at }]);
    else others.push({ port, at });
  }
  // One repeats nothing.
  if (ports.length < 2) return warnings;
  const names = new Map<string, string>();
  for (const { port, at } of ports) {
    const { name = '' } = port;
    if (name === '') continue;
    const first = names.get(name);
    if (first === undefined) names.set(name, at);
    else {
      warnings.push(
        `${at}: duplicate port name "${name}" with ${first}, services and probes that select ports by name will use ${first}`,
      );
    }
  }
  return warnings;
}

function portsOf(containers: readonly Placed[]): readonly Known[] {
  return containers.flatMap(({ container, at }) =>
    (container.ports ?? []).map((port, index) => ({ port, at: `${at}.ports[${index}]` })),
  );
}

/** How two definitions of one port of one protocol stand to each other. */
function relation(a: ContainerPort, b: ContainerPort): string | undefined {
  const [portA, portB] = [a.hostPort ?? 0, b.hostPort ?? 0];
  const [addressA, addressB] = [a.hostIP ?? '', b.hostIP ?? ''];
  if (addressA === addressB && portA === portB) return 'duplicate';
  if (portA === 0 || portB === 0) return 'overlapping';
  const isHalfSaid = (addressA === '') !== (addressB === '');
  return portA === portB && isHalfSaid ? 'dangerously ambiguous' : undefined;
}

/** As upstream prints its own structure. */
function described({
  name = '',
  hostPort = 0,
  containerPort,
  protocol = 'TCP',
  hostIP = '',
}: ContainerPort) {
  return `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`;
}
