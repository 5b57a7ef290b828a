/**
 * Devices that several claims share: how much of its capacity each takes, and what is left.
 *
 * A claim may ask for amounts by name; what it does not name it takes by the device's default, or
 * wholly. A device's policy rounds up: to the next of its valid values, or to the next step above a
 * least amount; what is above the most cannot be had.
 *
 * Worked example: range from 1Gi in steps of 1Gi up to 8Gi, asked for 1500Mi: takes 2Gi.
 *
 * Behaviour: kubernetes.io, "Consumable capacity"; KEP-5075.
 */
import { formatQuantity, type Quantity, quantity } from '#api/quantity.ts';
import type { CapacityRequirements, Device, DeviceCapacity } from '#resources/types/resource-v1.ts';

export type Amounts = ReadonlyMap<string, Quantity>;

export function amountsOf(texts: Readonly<Record<string, string>>): Amounts {
  return new Map(Object.entries(texts).map(([name, text]) => [name, quantity(text)]));
}

export function formatAmounts(amounts: Amounts): Readonly<Record<string, string>> {
  return Object.fromEntries([...amounts].map(([name, amount]) => [name, formatQuantity(amount)]));
}

/** What has been given away of shared devices. */
export class Consumed {
  /** Device → capacity → in nano units. */
  readonly #of = new Map<string, Map<string, bigint>>();
  /** Device → by how many it is used. */
  readonly #users = new Map<string, number>();

  copy(): Consumed {
    const copy = new Consumed();
    for (const [id, amounts] of this.#of) copy.#of.set(id, new Map(amounts));
    for (const [id, users] of this.#users) copy.#users.set(id, users);
    return copy;
  }

  has(id: string): boolean {
    return (this.#users.get(id) ?? 0) > 0;
  }

  add(id: string, amounts: Amounts): void {
    this.#change(id, amounts, 1n);
  }

  remove(id: string, amounts: Amounts): void {
    this.#change(id, amounts, -1n);
  }

  /** What the request would take of the device; undefined where that is not left. */
  room(
    { id, device }: { readonly id: string; readonly device: Device },
    requests: CapacityRequirements['requests'],
  ): Amounts | undefined {
    const consumption = consumptionOf(device, requests);
    const given = this.#of.get(id);
    for (const [name, { nano }] of consumption ?? []) {
      const total = quantity(device.capacity?.[name]?.value ?? '0').nano;
      if ((given?.get(name) ?? 0n) + nano > total) return undefined;
    }
    return consumption;
  }

  #change(id: string, amounts: Amounts, times: 1n | -1n): void {
    const of = this.#of.get(id) ?? new Map<string, bigint>();
    for (const [name, { nano }] of amounts) of.set(name, (of.get(name) ?? 0n) + times * nano);
    this.#of.set(id, of);
    this.#users.set(id, (this.#users.get(id) ?? 0) + Number(times));
  }
}

/** Undefined where the device does not have what is asked for, or does not give so much at once. */
function consumptionOf(
  { capacity = {} }: Device,
  requests: CapacityRequirements['requests'] = {},
): Amounts | undefined {
  if (Object.keys(requests).some((name) => !Object.hasOwn(capacity, name))) return undefined;
  const consumption = new Map<string, Quantity>();
  for (const [name, one] of Object.entries(capacity)) {
    const wanted = Object.hasOwn(requests, name) ? requests[name] : undefined;
    const taken = wanted === undefined ? unasked(one) : rounded(quantity(wanted), one);
    if (taken === undefined) return undefined;
    consumption.set(name, taken);
  }
  return consumption;
}

function unasked({ value, requestPolicy }: DeviceCapacity): Quantity {
  return quantity(requestPolicy?.default ?? value);
}

function rounded(wanted: Quantity, { requestPolicy }: DeviceCapacity): Quantity | undefined {
  const { validRange, validValues } = requestPolicy ?? {};
  if (validRange !== undefined) {
    const min = quantity(validRange.min);
    const amount = wanted.nano < min.nano ? min : stepped(wanted, min, validRange.step);
    const most = validRange.max === undefined ? undefined : quantity(validRange.max).nano;
    return most !== undefined && amount.nano > most ? undefined : amount;
  }
  if (validValues === undefined || validValues.length === 0) return wanted;
  return validValues.map(quantity).find(({ nano }) => nano >= wanted.nano);
}

function stepped(wanted: Quantity, min: Quantity, text: string | undefined): Quantity {
  if (text === undefined) return wanted;
  const step = quantity(text).nano;
  const rest = (wanted.nano - min.nano) % step;
  if (rest === 0n) return wanted;
  return { nano: wanted.nano - rest + step, format: 'binary' };
}
