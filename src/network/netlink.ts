/**
 * Messages to the kernel's network part (rtnetlink), as bytes: what `ip` would send.
 *
 * Pure. Who sends them is the CNI plugin (`cni-plugin.ts`), which is where they are wanted anyway:
 * a program of its own for each change costs more than the change. Numbers that only the sender
 * knows (an open namespace, a link's index) are left open and named in `blanks`. Layout and
 * constants: rtnetlink(7), linux/rtnetlink.h, linux/if_link.h. Little-endian, as x64 and arm64 are.
 */
import { isIPv6 } from 'node:net';
import { addressBytes } from '#kit/ip-network.ts';

/** Four bytes that the sender fills in: `/` for the pod's namespace, else the name of a link. */
export interface Blank {
  readonly at: number;
  readonly with: string;
}

export interface KernelMessage {
  readonly bytes: Buffer;
  readonly blanks: readonly Blank[];
}

/** Which message was not taken, and why: `EEXIST`. */
export interface Refusal {
  readonly index: number;
  readonly code: string;
}

export interface Kernel {
  /** In order, up to the first that is refused; undefined when all were taken. */
  apply(where: 'node' | 'pod', messages: readonly KernelMessage[]): Promise<Refusal | undefined>;
}

const types = { newLink: 16, deleteLink: 17, newAddress: 20, newRoute: 24, newNeighbour: 28 };
const flags = { request: 0x1, ack: 0x4, replace: 0x100, exclusive: 0x200, create: 0x400 };
const linkAttributes = { address: 1, name: 3, mtu: 4, info: 18, namespaceFd: 28 };
const infoAttributes = { kind: 1, data: 2 };
const vethPeer = 1;
const addressAttributes = { address: 1, local: 2 };
const neighbourAttributes = { destination: 1, hardware: 2 };
const routeAttributes = { destination: 1, link: 4, gateway: 5 };
const families = { ipv4: 2, ipv6: 10 };
const linkUp = 0x1;
const permanent = 0x80;
/** Usable at once: nobody is asked whether somebody else has the address. */
const withoutDetection = 0x02;
const mainTable = 254;
/** What `ip` says of routes made by hand. */
const bootProtocol = 3;
const unicast = 1;
const scopes = { everywhere: 0, link: 253 };
const headerLength = 16;
/** Of the link's index, in all messages that begin with it. */
const indexAt = headerLength + 4;

/** A pair of links, one end here, the other in the pod's namespace. */
export function createVeth(options: {
  readonly hostName: string;
  /** `ee:ee:ee:ee:ee:ee`, of the end that is here. */
  readonly hardware: string;
  readonly podName: string;
  /** Of the other end; by chance where absent. */
  readonly podHardware?: string | undefined;
  readonly mtu: number;
}): KernelMessage {
  const { hostName, hardware, podName, podHardware, mtu } = options;
  const other = podHardware === undefined ? [] : [hardwareBytes(podHardware)];
  // The namespace comes last, so that its place is known.
  const peer = Buffer.concat([
    linkHeader(),
    attribute(linkAttributes.name, text(podName)),
    attribute(linkAttributes.mtu, number(mtu)),
    ...other.map((bytes) => attribute(linkAttributes.address, bytes)),
    attribute(linkAttributes.namespaceFd, number(0)),
  ]);
  const info = Buffer.concat([
    attribute(infoAttributes.kind, text('veth')),
    attribute(infoAttributes.data, attribute(vethPeer, peer)),
  ]);
  const bytes = message(types.newLink, flags.create | flags.exclusive, [
    linkHeader(),
    attribute(linkAttributes.name, text(hostName)),
    attribute(linkAttributes.mtu, number(mtu)),
    attribute(linkAttributes.address, hardwareBytes(hardware)),
    attribute(linkAttributes.info, info),
  ]);
  return { bytes, blanks: [{ at: bytes.length - 4, with: '/' }] };
}

export function setUp(name: string): KernelMessage {
  const bytes = message(types.newLink, 0, [linkHeader({ flags: linkUp, change: linkUp })]);
  return { bytes, blanks: [{ at: indexAt, with: name }] };
}

export function deleteLink(name: string): KernelMessage {
  const parts = [linkHeader(), attribute(linkAttributes.name, text(name))];
  return { bytes: message(types.deleteLink, 0, parts), blanks: [] };
}

/** A single address, without a network around it. */
export function addAddress(address: string, link: string): KernelMessage {
  const family = familyOf(address);
  const how = family.number === families.ipv6 ? permanent | withoutDetection : permanent;
  const header = Buffer.from([family.number, family.bits, how, scopes.everywhere, 0, 0, 0, 0]);
  const value = addressBytes(address);
  const bytes = message(types.newAddress, flags.create | flags.exclusive, [
    header,
    attribute(addressAttributes.local, value),
    attribute(addressAttributes.address, value),
  ]);
  return { bytes, blanks: [{ at: indexAt, with: link }] };
}

/** For good: nobody asks who has the address. */
export function setNeighbour(address: string, hardware: string, link: string): KernelMessage {
  const header = Buffer.alloc(12);
  header.writeUInt8(familyOf(address).number, 0);
  header.writeUInt16LE(permanent, 8);
  const bytes = message(types.newNeighbour, flags.create | flags.replace, [
    header,
    attribute(neighbourAttributes.destination, addressBytes(address)),
    attribute(neighbourAttributes.hardware, hardwareBytes(hardware)),
  ]);
  return { bytes, blanks: [{ at: indexAt, with: link }] };
}

/** To one address behind the link, or, through a gateway, to everything of its family. */
export function setRoute(
  to: { readonly address: string } | { readonly gateway: string },
  link: string,
): KernelMessage {
  const family = familyOf('address' in to ? to.address : to.gateway);
  const [attributes, length, scope] =
    'address' in to
      ? [attribute(routeAttributes.destination, addressBytes(to.address)), family.bits, scopes.link]
      : [attribute(routeAttributes.gateway, addressBytes(to.gateway)), 0, scopes.everywhere];
  const header = Buffer.from([
    ...[family.number, length, 0, 0, mainTable, bootProtocol, scope, unicast],
    ...[0, 0, 0, 0],
  ]);
  // The link comes last, so that its place is known.
  const bytes = message(types.newRoute, flags.create | flags.replace, [
    header,
    attributes,
    attribute(routeAttributes.link, number(0)),
  ]);
  return { bytes, blanks: [{ at: bytes.length - 4, with: link }] };
}

function message(type: number, more: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(headerLength);
  header.writeUInt32LE(headerLength + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags.request | flags.ack | more, 6);
  return Buffer.concat([header, body]);
}

function linkHeader(set = { flags: 0, change: 0 }): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(set.flags, 8);
  header.writeUInt32LE(set.change, 12);
  return header;
}

/** Padded to a multiple of four; its length says how much of that counts. */
function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function hardwareBytes(hardware: string): Buffer {
  return Buffer.from(hardware.replaceAll(':', ''), 'hex');
}

function familyOf(address: string): { readonly number: number; readonly bits: number } {
  return isIPv6(address)
    ? { number: families.ipv6, bits: 128 }
    : { number: families.ipv4, bits: 32 };
}
