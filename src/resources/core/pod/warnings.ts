/**
 * What is allowed in a pod but probably not meant: duplicate variables and ports, names that make
 * bad host names. The server shows these to the client as warnings; nothing is refused.
 */
import { labelProblems } from '#api/names.ts';
import type { Container, Pod } from '#resources/types/core-v1.ts';

export function podWarnings(pod: Pod): readonly string[] {
  const { metadata, spec } = pod;
  const warnings: string[] = [];
  const problems = metadata.name ? labelProblems(metadata.name) : [];
  if (problems.length > 0) {
    warnings.push(
      "metadata.name: this is used in the Pod's hostname, which can result in surprising " +
        `behavior; a DNS label is recommended: [${problems.join(' ')}]`,
    );
  }
  if ((spec?.terminationGracePeriodSeconds ?? 0) < 0) {
    warnings.push(
      'spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1',
    );
  }
  for (const list of ['initContainers', 'containers'] as const) {
    for (const [index, container] of (spec?.[list] ?? []).entries()) {
      warnings.push(...containerWarnings(container, `spec.${list}[${index}]`));
    }
  }
  return warnings;
}

function containerWarnings(container: Container, field: string): readonly string[] {
  const warnings: string[] = [];
  const names = new Set<string>();
  for (const [index, { name, value, valueFrom }] of (container.env ?? []).entries()) {
    // A variable may be built from its own previous value: PATH=/opt/bin:$(PATH).
    const extends_ = value?.includes(`$(${name})`) ?? false;
    if (names.has(name) && !extends_ && valueFrom === undefined) {
      warnings.push(
        `${field}.env[${index}]: hides previous definition of "${name}", ` +
          'which may be dropped when using apply',
      );
    }
    names.add(name);
  }
  const ports = new Map<string, number>();
  for (const [index, port] of (container.ports ?? []).entries()) {
    const key = `${port.containerPort}/${port.protocol ?? 'TCP'}/${port.hostPort ?? 0}`;
    const first = ports.get(key);
    if (first !== undefined) {
      warnings.push(
        `${field}.ports[${index}]: duplicate port definition with ${field}.ports[${first}]`,
      );
    } else ports.set(key, index);
  }
  return warnings;
}
