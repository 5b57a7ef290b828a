/**
 * Cgroups that systemd makes (`cgroupDriver: systemd`): each of them is a slice, and the runtime
 * puts containers into scopes below it.
 *
 * It stands before the cgroups of `cgroups.ts`, which look at files: a path is translated, the
 * slice is started or changed over D-Bus, and then the files are written as well, since systemd
 * knows only some of the controllers. Stopping a slice ends whatever is in it. For `machine.ts`.
 */
import type { Logger } from '#kit/log.ts';
import type { CgroupResources } from '../pods/qos.ts';
import type { CgroupLimits, Cgroups } from './cgroups.ts';
import {
  partOfSlice,
  planLimits,
  planSlice,
  roundedQuota,
  type SliceLimits,
  slicePath,
  slicesOf,
} from './slices.ts';
import type { Units } from './systemd-units.ts';

export interface SystemdCgroupsDeps {
  readonly files: Cgroups;
  readonly units: Units;
  readonly log: Logger;
  /** Part of the names of scopes, as `cri-containerd`. */
  readonly scopePrefix: string;
  readonly signal: AbortSignal;
}

export function openSystemdCgroups(deps: SystemdCgroupsDeps): Cgroups {
  const { files, log, scopePrefix } = deps;
  const slices = new Slices(deps);
  const carefully = async (what: string, path: string, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      // The runtime still applies each container's own limits.
      log.warn(what, { path, error });
    }
  };
  const rounded = <R extends SliceLimits>(given: R): R => ({
    ...given,
    cpuQuota: roundedQuota(given),
  });
  return {
    driver: 'systemd',
    version: files.version,
    pathOf: slicePath,
    containerPath: (path, id) => `${slicePath(path)}/${scopePrefix}-${id}.scope`,
    create: async (path, resources) => {
      await carefully('cannot make the slice of a pod', path, () => slices.ensure(path, resources));
      await files.create(slicePath(path), rounded(resources));
    },
    update: async (path, resources: CgroupResources) => {
      const { cpuQuota = -1, memoryLimitBytes = -1 } = resources;
      const all = { ...resources, cpuQuota, memoryLimitBytes };
      await carefully('cannot change the slice of a pod', path, () => slices.ensure(path, all));
      await files.update(slicePath(path), rounded(resources));
    },
    limit: async (path, limits: CgroupLimits) => {
      await slices.ensure(path, limits);
      await files.limit(slicePath(path), limits);
    },
    remove: async (path) => {
      if (files.isThere(slicePath(path))) {
        await carefully('cannot end the slice of a pod', path, () => slices.end(path));
      }
      return files.remove(slicePath(path));
    },
    isThere: (path) => files.isThere(slicePath(path)),
    children: (path) => files.children(slicePath(path)).flatMap((name) => partOfSlice(name) ?? []),
    missing: (path) => files.missing(slicePath(path)),
    workingSetBytes: (path) => files.workingSetBytes(slicePath(path)),
    read: files.read,
  };
}

class Slices {
  readonly #deps: SystemdCgroupsDeps;
  /** Made by us, or found: their properties can be set. */
  readonly #known = new Set<string>();

  constructor(deps: SystemdCgroupsDeps) {
    this.#deps = deps;
  }

  /** Those above it as well: systemd would make them, but without counting. */
  async ensure(path: string, limits: SliceLimits): Promise<void> {
    const { units, files, signal } = this.#deps;
    const names = slicesOf(path);
    const own = names.at(-1);
    if (own === undefined) return;
    const properties = planLimits(limits, files.version);
    if (this.#known.has(own)) {
      if (await units.set(own, properties, { signal })) return;
      for (const name of names) this.#known.delete(name);
    }
    for (const [index, name] of names.entries()) {
      if (this.#known.has(name)) continue;
      const all = planSlice(name, names[index - 1] ?? '-.slice', files.version);
      const more = name === own ? properties : [];
      const isNew = await units.start(name, [...all, ...more], { signal });
      if (!isNew && more.length > 0) await units.set(name, more, { signal });
      this.#known.add(name);
    }
  }

  async end(path: string): Promise<void> {
    const own = slicesOf(path).at(-1);
    if (own === undefined) return;
    this.#known.delete(own);
    await this.#deps.units.stop(own, this.#deps);
  }
}
