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
import {
  endpoints as endpointsKind,
  services as serviceKind,
  endpointSlices as sliceKind,
} from '#resources/kinds.ts';
import type { Endpoints, Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { ignoreNotFound, isNamespaceEnding } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { type Action, labels } from '../endpoint-slice/plan.ts';
import { selectorOf } from '../endpoint-slice/pod-endpoints.ts';
import { Expectations } from '../expectations.ts';
import { limits, mirrorName, planMirror } from './plan.ts';

const mirrorIndex = 'mirrored slices of endpoints';
const skipLabel = 'endpointslice.kubernetes.io/skip-mirror';
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';

export function openEndpointSliceMirroringController(deps: ControllerDeps): Controller {
  const controller = new MirroringController(deps);
  return {
    name: 'endpointslice-mirroring-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.services, controller.endpoints, controller.slices],
  };
}

class MirroringController {
  readonly queue: WorkQueue;
  readonly services: Informer<Service>;
  readonly endpoints: Informer<Endpoints>;
  readonly slices: Informer<EndpointSlice>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  readonly #expectations: Expectations;

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('endpoint-slice-mirroring-controller');
    this.#expectations = new Expectations(deps);
    this.queue = new WorkQueue(deps);
    this.services = deps.informers.of(serviceKind);
    this.endpoints = deps.informers.of(endpointsKind);
    this.slices = deps.informers.of(sliceKind);
    this.slices.addIndex(mirrorIndex, (slice) => {
      const key = keyOf(slice);
      return key === undefined ? [] : [key];
    });
    const wake = (object: Service | Endpoints): void => this.queue.add(objectKey(object));
    this.endpoints.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });
    this.services.addHandler({
      onAdd: wake,
      onUpdate: (service, old) => {
        if ((selectorOf(service) === undefined) !== (selectorOf(old) === undefined)) wake(service);
      },
      onDelete: wake,
    });
    const wakeBy = (slice: EndpointSlice): void => {
      const key = keyOf(slice);
      if (key !== undefined) this.queue.add(key);
    };
    this.slices.addHandler({
      onAdd: (slice) => {
        this.#expectations.sawCreation(keyOf(slice) ?? '');
        wakeBy(slice);
      },
      onUpdate: wakeBy,
      onDelete: (slice) => {
        this.#expectations.sawDeletion(keyOf(slice) ?? '', slice.metadata.uid ?? '');
        wakeBy(slice);
      },
    });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const existing = [...this.slices.byIndex(mirrorIndex, key)];
    const endpoints = this.endpoints.get(key);
    if (endpoints === undefined || !this.#isMirrored(endpoints)) {
      for (const slice of existing) await this.#perform({ do: 'delete', slice }, { signal });
      this.#expectations.forget(key);
      return;
    }
    if (!this.#expectations.areMet(key)) return;
    const { actions, invalid, skipped } = planMirror(endpoints, existing);
    this.#tell(endpoints, { invalid, skipped });
    const deletions = actions.filter((action) => action.do === 'delete');
    this.#expectations.expect(key, {
      creations: actions.filter((action) => action.do === 'create').length,
      deletions: deletions.map(({ slice }) => slice.metadata.uid ?? ''),
    });
    try {
      for (const action of actions) await this.#perform(action, { signal });
    } catch (error) {
      this.#expectations.forget(key);
      if (!isNamespaceEnding(error)) throw error;
    }
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
        `A max of ${limits.addressesPerSubset} addresses can be mirrored to EndpointSlices ` +
          `per Endpoints subset. ${skipped} addresses were skipped`,
      );
    }
  }

  async #perform(action: Action, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { client } = this.#deps;
    const { namespace, name = '' } = action.slice.metadata;
    switch (action.do) {
      case 'create':
        await client.create(sliceKind, action.slice, { signal });
        break;
      case 'update':
        await client.update(sliceKind, action.slice, { signal });
        break;
      case 'delete':
        await client.delete(sliceKind, { namespace, name }, { signal }).catch(ignoreNotFound);
        break;
      default:
        action.do satisfies never;
    }
  }
}

/** The Endpoints whose mirror this is. */
function keyOf({ metadata }: EndpointSlice): string | undefined {
  if (metadata.labels?.[labels.managedBy] !== mirrorName) return undefined;
  const name = metadata.labels[labels.serviceName];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
}
