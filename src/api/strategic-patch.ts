/**
 * Strategic merge patch: a merge patch that knows the schema, so that lists of objects are merged
 * by a key (`containers` by `name`) and directives can say more than values can.
 *
 * Directives: `$patch: delete | replace | merge` in an object or list item; `$retainKeys: […]`;
 * `$deleteFromPrimitiveList/<field>: […]`; `$setElementOrder/<field>: […]`, which gives the order
 * of a merged list, else the patch's own order counts. Items that only the server knows keep their
 * place relative to their neighbours; new ones come first. Nothing given is changed.
 */
import { jsonEqual } from '#kit/json-equal.ts';
import { isMembers, type Members } from '#kit/members.ts';
import { goText } from './go-text.ts';
import type { Definitions, Schema } from './schema.ts';

export class StrategicPatchError extends Error {
  override readonly name = 'StrategicPatchError';
  /** Upstream did not foresee it (500, not 400). */
  readonly unforeseen: boolean;

  constructor(message: string, { unforeseen }: { readonly unforeseen: boolean }) {
    super(message);
    this.unforeseen = unforeseen;
  }
}

const directive = '$patch';
const retainKeys = '$retainKeys';
const deletePrefix = '$deleteFromPrimitiveList/';
const orderPrefix = '$setElementOrder/';

export class StrategicPatch {
  readonly #definitions: Definitions;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  apply(target: unknown, patch: unknown, schema: Schema): unknown {
    if (!isMembers(patch)) throw malformed('Invalid JSON document');
    return this.#mergeObject(isMembers(target) ? target : {}, patch, this.#resolve(schema));
  }

  /** Follows the reference; the merge rules of the place stay. */
  #resolve(schema: Schema | undefined): Schema {
    if (schema?.ref === undefined) return schema ?? {};
    return this.#definitions.get(schema.ref) ?? {};
  }

  #mergeObject(target: Members, patch: Members, schema: Schema): Members {
    const how = patch[directive];
    if (how !== undefined) {
      const { [directive]: _, ...rest } = patch;
      if (how === 'replace') return this.#withoutDirectives(rest);
      if (how === 'delete') return {};
      if (how !== 'merge') throw unknownDirective(patch);
      return this.#mergeObject(target, rest, schema);
    }
    checkOrders(patch, schema);
    const result = new Map<string, unknown>(Object.entries(this.#retain(target, patch)));
    for (const [key, value] of Object.entries(patch)) {
      if (key === retainKeys || key.startsWith(orderPrefix)) continue;
      if (key.startsWith(deletePrefix)) {
        const field = key.slice(deletePrefix.length);
        result.set(field, removeValues(result.get(field), value));
        continue;
      }
      if (value === null) {
        result.delete(key);
        continue;
      }
      const merged = this.#mergeField(result.get(key), value, fieldOf(schema, key), {
        order: patch[orderPrefix + key],
        key,
      });
      if (merged === undefined) result.delete(key);
      else result.set(key, merged);
    }
    this.#reorderUntouched(result, patch, schema);
    return Object.fromEntries(result);
  }

  /** An order alone, without a patch of its list, still sorts the list. */
  #reorderUntouched(result: Map<string, unknown>, patch: Members, schema: Schema): void {
    for (const [directiveKey, order] of Object.entries(patch)) {
      if (!directiveKey.startsWith(orderPrefix)) continue;
      const key = directiveKey.slice(orderPrefix.length);
      const current = result.get(key);
      if (!Array.isArray(order) || !Array.isArray(current) || Object.hasOwn(patch, key)) continue;
      const mergeKey = fieldOf(schema, key)?.patchMergeKey;
      result.set(key, sortByOrder(current, current, order, mergeKey));
    }
  }

  #retain(target: Members, patch: Members): Members {
    const keys = patch[retainKeys];
    if (keys === undefined) return target;
    if (!Array.isArray(keys)) throw malformed('invalid patch format of retainKeys');
    for (const [key, value] of Object.entries(patch)) {
      if (key.startsWith('$') || value === null || keys.includes(key)) continue;
      throw malformed('invalid patch format of retainKeys');
    }
    return Object.fromEntries(Object.entries(target).filter(([key]) => keys.includes(key)));
  }

  #mergeField(
    before: unknown,
    value: unknown,
    schema: Schema | undefined,
    list: { readonly order: unknown; readonly key: string },
  ): unknown {
    if (isMembers(value)) {
      const resolved = this.#resolve(schema);
      const replace = schema?.patchStrategy?.split(',').includes('replace') ?? false;
      if (value[directive] === 'delete') return undefined;
      if (!isMembers(before) || replace) return this.#mergeObject({}, value, resolved);
      return this.#mergeObject(before, value, resolved);
    }
    if (!Array.isArray(value)) return value;
    const merges = schema?.patchStrategy?.split(',').includes('merge') ?? false;
    if (!merges || !Array.isArray(before)) {
      return this.#withoutListDirectives(value, merges ? schema : undefined);
    }
    return this.#mergeList(before, value, schema ?? {}, list.order, list.key);
  }

  #mergeList(
    before: readonly unknown[],
    patch: readonly unknown[],
    schema: Schema,
    order: unknown,
    key: string,
  ): unknown {
    const item = this.#resolve(schema.items);
    const objects = [...before, ...patch].some(isMembers);
    if (!objects) {
      const merged = [...before, ...patch.filter((value) => !before.includes(value))];
      return sortByOrder(merged, before, Array.isArray(order) ? order : patch, undefined);
    }
    const mergeKey = schema.patchMergeKey;
    if (mergeKey === undefined) {
      throw new StrategicPatchError(`no merge key for the list "${key}" is known`, {
        unforeseen: true,
      });
    }
    const merged = this.#mergeItems(before, patch, item, mergeKey);
    return sortByOrder(merged, before, Array.isArray(order) ? order : patch, mergeKey);
  }

  #mergeItems(
    before: readonly unknown[],
    patch: readonly unknown[],
    item: Schema,
    mergeKey: string,
  ): readonly unknown[] {
    if (patch.some((value) => isMembers(value) && value[directive] === 'replace')) {
      return patch
        .filter((value) => !(isMembers(value) && value[directive] === 'replace'))
        .map((value) => this.#stripped(value));
    }
    const result = [...before];
    for (const value of patch) {
      if (!isMembers(value)) throw malformed(`cannot merge ${JSON.stringify(value)} into a list`);
      const id = value[mergeKey];
      if (id === undefined) {
        const message = `map: ${goText(value)} does not contain declared merge key: ${mergeKey}`;
        throw new StrategicPatchError(message, { unforeseen: true });
      }
      const at = result.findIndex((one) => isMembers(one) && jsonEqual(one[mergeKey], id));
      if (value[directive] === 'delete') {
        for (let i = result.length - 1; i >= 0; i--) {
          const one = result[i];
          if (isMembers(one) && jsonEqual(one[mergeKey], id)) result.splice(i, 1);
        }
        continue;
      }
      const current = result[at];
      if (isMembers(current)) result[at] = this.#mergeObject(current, value, item);
      else result.push(this.#mergeObject({}, value, item));
    }
    return result;
  }

  /** A list put in place of another: its directives have done their work. */
  #withoutListDirectives(list: readonly unknown[], merging: Schema | undefined): unknown {
    const isDirective = (value: unknown): boolean =>
      isMembers(value) &&
      (value[directive] === 'replace' || (merging !== undefined && value[directive] === 'delete'));
    return list.filter((value) => !isDirective(value)).map((value) => this.#stripped(value));
  }

  #stripped(value: unknown): unknown {
    return isMembers(value) ? this.#withoutDirectives(value) : value;
  }

  #withoutDirectives(value: Members): Members {
    const kept = Object.entries(value).filter(
      ([key, member]) =>
        member !== null &&
        !(isMembers(member) && member[directive] === 'delete') &&
        key !== directive &&
        key !== retainKeys &&
        !key.startsWith(orderPrefix) &&
        !key.startsWith(deletePrefix),
    );
    return Object.fromEntries(
      kept.map(([key, member]) => [
        key,
        Array.isArray(member) ? this.#withoutListDirectives(member, {}) : this.#stripped(member),
      ]),
    );
  }
}

function fieldOf(schema: Schema, key: string): Schema | undefined {
  if (schema.fields !== undefined && Object.hasOwn(schema.fields, key)) return schema.fields[key];
  return schema.values;
}

/** What a patch says of a list has to come in the order that it gives the list. */
function checkOrders(patch: Members, schema: Schema): void {
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(orderPrefix)) continue;
    if (!Array.isArray(order)) throw malformed('invalid patch format of setElementOrder list');
    const field = key.slice(orderPrefix.length);
    const list = patch[field];
    if (!Array.isArray(list) || list.length === 0 || order.length === 0) continue;
    const mergeKey = fieldOf(schema, field)?.patchMergeKey;
    const said = list.filter((value) => !isMembers(value) || value[directive] === undefined);
    let at = 0;
    for (const value of order) {
      if (at < said.length && jsonEqual(idOf(said[at], mergeKey), idOf(value, mergeKey))) at += 1;
    }
    if (at === said.length) continue;
    const [patchText, orderText] = [goText(list), goText(order)];
    const message = `The order in patch list:\n${patchText}\n doesn't match $setElementOrder list:\n${orderText}\n`;
    throw new StrategicPatchError(message, { unforeseen: true });
  }
}

function idOf(value: unknown, mergeKey: string | undefined): unknown {
  return mergeKey === undefined || !isMembers(value) ? value : value[mergeKey];
}

function removeValues(list: unknown, remove: unknown): unknown {
  if (!Array.isArray(remove)) throw malformed('invalid patch format of primitive list');
  if (!Array.isArray(list)) return list;
  return list.filter((value) => !remove.includes(value));
}

/**
 * Puts the items that `order` names in that order. The others (which only the server knows) go
 * behind the last item before them in the server's own list that has been placed already.
 */
function sortByOrder(
  merged: readonly unknown[],
  server: readonly unknown[],
  order: readonly unknown[],
  mergeKey: string | undefined,
): readonly unknown[] {
  const find = (list: readonly unknown[], value: unknown): number =>
    list.findIndex((one) => jsonEqual(idOf(one, mergeKey), idOf(value, mergeKey)));
  const rank = (value: unknown): number => find(order, value);
  const place = (value: unknown): number => find(server, value);
  const named = merged.filter((value) => rank(value) >= 0).sort((a, b) => rank(a) - rank(b));
  const others = merged.filter((value) => rank(value) < 0).sort((a, b) => place(a) - place(b));
  const result: unknown[] = [];
  let next = 0;
  for (const value of named) {
    // Server-only items stay in front of a named item that stood behind them on the server.
    const at = place(value);
    while (at >= 0 && next < others.length && place(others[next]) < at) {
      result.push(others[next]);
      next += 1;
    }
    result.push(value);
  }
  return [...result, ...others.slice(next)];
}

function malformed(message: string): StrategicPatchError {
  return new StrategicPatchError(message, { unforeseen: false });
}

function unknownDirective(patch: Members): StrategicPatchError {
  const type = String(patch[directive]);
  const message = `unknown patch type: ${type} in map: ${goText(patch)}`;
  return new StrategicPatchError(message, { unforeseen: true });
}
