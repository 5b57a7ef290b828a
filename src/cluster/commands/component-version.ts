/**
 * `--version` of the components that bear upstream's names: which Kubernetes they speak, in
 * upstream's form, where the program's own version would say nothing to those who look for it.
 * `main.ts` asks before it reads any other flag.
 */
import { versionDocument } from '#api/version.ts';

const components = ['kubelet', 'kube-scheduler', 'kube-controller-manager'];

/** What to print, where the version of a component is asked for. */
export function componentVersion(args: readonly string[]): string | undefined {
  const [command = '', ...flags] = args;
  if (!components.includes(command)) return undefined;
  const asked = flags.flatMap((flag) => /^--version(?:=(.*))?$/.exec(flag)?.slice(1) ?? []);
  if (flags.includes('--version') || asked.some((value) => /^(true|1|t)$/i.test(value ?? ''))) {
    return `Kubernetes ${versionDocument().gitVersion}`;
  }
  return asked.includes('raw') ? JSON.stringify(versionDocument(), undefined, 2) : undefined;
}
