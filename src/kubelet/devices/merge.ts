/**
 * What all plugins answered for one container, as one: of two that speak of the same variable,
 * path or annotation, the first one counts. Pure.
 */
import type { Sent } from '#cri';
import type { ContainerDevices } from './devices.ts';
import type { Received } from './messages.ts';

export function mergeDevices(
  responses: readonly Received<'ContainerAllocateResponse'>[],
  claimed: readonly string[],
): ContainerDevices {
  const envs = new Map<string, string>();
  const mounts = new Map<string, Sent<'Mount'>>();
  const devices = new Map<string, Sent<'Device'>>();
  const annotations = new Map<string, string>();
  const cdi = new Set<string>();
  for (const response of responses) {
    for (const [name, value] of Object.entries(response.envs)) {
      if (!envs.has(name)) envs.set(name, value);
    }
    for (const { containerPath, hostPath, readOnly } of response.mounts) {
      if (mounts.has(containerPath)) continue;
      mounts.set(containerPath, { containerPath, hostPath, readonly: readOnly });
    }
    for (const device of response.devices) {
      if (!devices.has(device.containerPath)) devices.set(device.containerPath, device);
    }
    for (const [name, value] of Object.entries(response.annotations)) {
      if (!annotations.has(name)) annotations.set(name, value);
    }
    for (const { name } of response.cdiDevices) cdi.add(name);
  }
  for (const name of claimed) cdi.add(name);
  return {
    envs,
    mounts: [...mounts.values()],
    devices: [...devices.values()],
    annotations: Object.fromEntries(annotations),
    cdiDevices: [...cdi].map((name) => ({ name })),
  };
}
