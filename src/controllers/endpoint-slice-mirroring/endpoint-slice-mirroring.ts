/**
 * Mirrors hand-written Endpoints of Services without selector into EndpointSlices, which are all
 * that node proxies read.
 *
 * Not mirrored are Endpoints labelled `endpointslice.kubernetes.io/skip-mirror`, locks of leader
 * elections, those without a Service, and those of a Service with a selector: what was mirrored of
 * them before is deleted. `plan.ts` decides what the slices say.
 */
import { objectKey } from '#api/object.ts';
import type { Informer, Recorder } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import { endpoints as endpointsKind, services as serviceKind } from '#resources/kinds.ts';
import type { Endpoints, Service } from '#resources/types/core-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { ManagedSlices } from '../endpoint-slice/managed-slices.ts';
import { selectorOf } from '../endpoint-slice/pod-endpoints.ts';
import { noteWrites, tellSlices } from '../endpoint-slice/slice-figures.ts';
import { limits, mirrorName, planMirror } from './plan.ts';

const skipLabel = 'endpointslice.kubernetes.io/skip-mirror';
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';

export function openEndpointSliceMirroringController(
  deps: ControllerDeps,
  options: { readonly perSubset?: number; readonly batchMs?: number | undefined } = {},
): Controller {
  const controller = new MirroringController(deps, options);
  return {
    name: 'endpointslice-mirroring-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.services, controller.endpoints, controller.slices.informer],
  };
}

class MirroringController {
  readonly queue: WorkQueue;
  readonly services: Informer<Service>;
  readonly endpoints: Informer<Endpoints>;
  readonly slices: ManagedSlices;
  readonly #recorder: Recorder;
  readonly #deps: ControllerDeps;
  readonly #perSubset: number;

  constructor(
    deps: ControllerDeps,
    {
      perSubset = limits.addressesPerSubset,
      batchMs = 0,
    }: NonNullable<Parameters<typeof openEndpointSliceMirroringController>[1]>,
  ) {
    this.#deps = deps;
    this.#perSubset = perSubset;
    this.#recorder = deps.recorderFor('endpoint-slice-mirroring-controller');
    this.queue = new WorkQueue(deps);
    this.services = deps.informers.of(serviceKind);
    this.endpoints = deps.informers.of(endpointsKind);
    this.slices = new ManagedSlices(deps, { manager: mirrorName, queue: this.queue });
    const slices = () => this.slices.all();
    const sizes = { perSlice: perSubset, slices };
    tellSlices(deps.figures, 'endpoint_slice_mirroring_controller', sizes);
    const wake = (object: Service | Endpoints): void => this.queue.add(objectKey(object));
    const wakeLater = (object: Endpoints): void => this.queue.addAfter(objectKey(object), batchMs);
    this.endpoints.addHandler({ onAdd: wakeLater, onUpdate: wakeLater, onDelete: wakeLater });
    this.services.addHandler({
      onAdd: wake,
      onUpdate: (service, old) => {
        if ((selectorOf(service) === undefined) !== (selectorOf(old) === undefined)) wake(service);
      },
      onDelete: wake,
    });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const existing = this.slices.of(key);
    const endpoints = this.endpoints.get(key);
    if (endpoints === undefined || !this.#isMirrored(endpoints)) {
      const removals = existing.map((slice) => ({ do: 'delete', slice }) as const);
      await this.slices.perform(key, removals, { signal });
      this.slices.forget(key);
      return;
    }
    if (!this.slices.areSeen(key)) return;
    const { actions, invalid, skipped } = planMirror(endpoints, existing, this.#perSubset);
    this.#tell(endpoints, { invalid, skipped });
    const fromMs = this.#deps.clock.monotonic();
    await this.slices.perform(key, actions, { signal });
    const { clock, figures } = this.#deps;
    const prefix = 'endpoint_slice_mirroring_controller';
    noteWrites(figures, prefix, { before: existing, actions });
    figures.observe(`${prefix}_addresses_skipped_per_sync`, [], skipped);
    const seconds = (clock.monotonic() - fromMs) / 1000;
    figures.observe(`${prefix}_endpoints_sync_duration`, [], seconds);
  }

  #isMirrored(endpoints: Endpoints): boolean {
    const { labels: given = {}, annotations = {}, deletionTimestamp } = endpoints.metadata;
    if (given[skipLabel] === 'true' || leaderAnnotation in annotations) return false;
    const service = this.services.get(objectKey(endpoints));
    if (service === undefined || deletionTimestamp !== undefined) return false;
    return selectorOf(service) === undefined;
  }

  #tell(
    endpoints: Endpoints,
    { invalid, skipped }: { readonly invalid: number; readonly skipped: number },
  ): void {
    const tell = (reason: string, message: string): void =>
      this.#recorder.record(endpoints, { type: 'Warning', reason, message });
    if (invalid > 0) {
      const message = `Skipped ${invalid} invalid IP addresses when mirroring to EndpointSlices`;
      tell('InvalidIPAddress', message);
    }
    if (skipped > invalid) {
      tell(
        'TooManyAddressesToMirror',
        `A max of ${this.#perSubset} addresses can be mirrored to EndpointSlices ` +
          `per Endpoints subset. ${skipped} addresses were skipped`,
      );
    }
  }
}
