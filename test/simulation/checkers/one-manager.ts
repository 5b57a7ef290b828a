/**
 * An object has one manager at a time, and passes to another only by being let go first: adopting
 * what belongs to somebody is stealing. But claims of a StatefulSet pass between it and the pod
 * that is to take them along, as its policy says.
 */
import { controllerOf, type KubeObject } from '#api/object.ts';
import type { WorldEvent } from '../trace.ts';
import type { Checker } from './checker.ts';

export class OneManager implements Checker {
  readonly name = 'one manager';
  judged = 0;

  onEvent(event: WorldEvent): string | undefined {
    if (event.what !== 'put') return undefined;
    const { object, before } = event;
    const managers = managersOf(object);
    if (managers.length === 0) return undefined;
    this.judged += 1;
    const { name } = object.metadata;
    if (managers.length > 1) return `${object.kind} ${name} has ${managers.length} managers`;
    const [now, then] = [managers[0], before === undefined ? undefined : controllerOf(before)?.uid];
    if (then === undefined || then === now) return undefined;
    if (object.kind === 'PersistentVolumeClaim') return undefined;
    return `${object.kind} ${name} passes from ${then} to ${now}`;
  }
}

function managersOf({ metadata }: KubeObject): readonly string[] {
  return (metadata.ownerReferences ?? []).filter((one) => one.controller).map(({ uid }) => uid);
}
