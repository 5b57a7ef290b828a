/**
 * Devices by name for runtimes that do not know them: containerd before 1.7 passes CDI names over
 * without a word, so the kubelet reads what the names stand for and asks for that itself.
 *
 * Descriptions are files in /etc/cdi and /var/run/cdi (Container Device Interface): a kind, such as
 * `vendor.com/gpu`, with named devices, and for each what a container needs: variables, device
 * nodes, mounts. What only a runtime can do, such as hooks, is refused. `open-devices.ts` calls
 * this; `applyNames` is pure.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sent } from '#cri';
import { parseYaml } from '#kit/yaml.ts';
import type { ContainerDevices } from './devices.ts';

export const cdiDirs: readonly string[] = ['/etc/cdi', '/var/run/cdi'];

interface Edits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly {
    readonly path: string;
    readonly hostPath?: string;
    readonly permissions?: string;
  }[];
  readonly mounts?: readonly {
    readonly hostPath: string;
    readonly containerPath: string;
    readonly options?: readonly string[];
  }[];
}

export interface CdiSpec {
  readonly kind?: string;
  readonly containerEdits?: Edits;
  readonly devices?: readonly { readonly name: string; readonly containerEdits?: Edits }[];
}

/** Of two files that describe a device, the one of the later folder counts. */
export function readCdiSpecs(dirs: readonly string[]): readonly CdiSpec[] {
  const specs: CdiSpec[] = [];
  for (const dir of dirs) {
    for (const name of filesIn(dir)) {
      try {
        // A file of another shape describes no device, or one with other edits: refused below.
        specs.unshift((parseYaml(readFileSync(join(dir, name), 'utf8')) ?? {}) as CdiSpec);
      } catch {
        // What cannot be read describes nothing; a name that is missing is told to the user.
      }
    }
  }
  return specs;
}

function filesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir)
      .filter((name) => /\.(json|yaml)$/.test(name))
      .sort();
  } catch {
    // Nothing is described there.
    return [];
  }
}

/** A text instead: why the container cannot have what the names stand for. */
export function applyNames(
  settings: ContainerDevices,
  specs: readonly CdiSpec[],
): ContainerDevices | string {
  const edits: Edits[] = [];
  const seen = new Set<CdiSpec>();
  const missing: string[] = [];
  for (const { name = '' } of settings.cdiDevices) {
    const [kind, device] = name.split('=');
    const has = (spec: CdiSpec) => spec.devices?.find((each) => each.name === device);
    const spec = specs.find((each) => each.kind === kind && has(each) !== undefined);
    if (spec === undefined) {
      missing.push(name);
      continue;
    }
    if (spec.containerEdits !== undefined && !seen.has(spec)) edits.push(spec.containerEdits);
    seen.add(spec);
    edits.push(has(spec)?.containerEdits ?? {});
  }
  if (missing.length > 0) return `unresolvable CDI devices ${missing.join(', ')}`;
  const beyond = edits.flatMap(Object.keys).find((key) => !known.has(key));
  if (beyond !== undefined) return `the container runtime cannot apply ${beyond} of CDI devices`;
  const envs = new Map(settings.envs);
  for (const text of edits.flatMap(({ env = [] }) => env)) {
    const at = text.indexOf('=');
    envs.set(text.slice(0, at), text.slice(at + 1));
  }
  return {
    ...settings,
    envs,
    mounts: [...settings.mounts, ...edits.flatMap(({ mounts = [] }) => mounts.map(mountOf))],
    devices: [...settings.devices, ...edits.flatMap(nodesOf)],
    cdiDevices: [],
  };
}

const known = new Set(['env', 'deviceNodes', 'mounts']);

type CdiMount = NonNullable<Edits['mounts']>[number];

function mountOf({ hostPath, containerPath, options = [] }: CdiMount): Sent<'Mount'> {
  return { hostPath, containerPath, readonly: options.includes('ro') };
}

function nodesOf({ deviceNodes = [] }: Edits): readonly Sent<'Device'>[] {
  return deviceNodes.map(({ path, hostPath = path, permissions = 'rwm' }) => ({
    ...{ containerPath: path, hostPath, permissions },
  }));
}

/** containerd took names into CRI with 1.7. */
export function knowsNames(runtime: string, version: string): boolean {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  return runtime !== 'containerd' || major > 1 || minor >= 7;
}
