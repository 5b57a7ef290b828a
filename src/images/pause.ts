/**
 * The program that holds a pod's namespaces open: it sleeps, and lets the kernel reap the orphans
 * that it inherits as process 1 (a parent that ignores SIGCHLD never has zombies).
 *
 * It ends when SIGTERM or SIGINT asks it to, which process 1 does not hear without handlers of its
 * own: that is how a machine that goes down ends what is left, and it waits 90 s for it.
 *
 * Written as machine code, because a C compiler is too much to ask of the machine for thirty
 * instructions. The file is one ELF header, one program header, the code, and two `sigaction`
 * records; everything is mapped read-only and executable at one address. `images.ts` wraps it into
 * an image.
 */
import type { Architecture } from './oci-layout.ts';

/** Counts the programs there were, so that a node of before makes and loads the next one. */
export const pauseFile = 'pause-2.tar';

/** Where the file is mapped; the code starts right behind the two headers. */
const baseAddress = 0x400000;
const headerBytes = 64 + 56;

/**
 * x86-64: system call number in eax, arguments in rdi, rsi, rdx, r10; all but rax stay as they are.
 * rt_sigaction(signal, record, 0, 8) is call 13, for 17 = SIGCHLD, 2 = SIGINT, 15 = SIGTERM;
 * pause() is call 34, exit(0) call 60.
 */
const codeX64 = [
  [0xb8, 0x0d, 0x00, 0x00, 0x00], // mov eax, 13
  [0xbf, 0x11, 0x00, 0x00, 0x00], // mov edi, 17
  [0x48, 0x8d, 0x35, 0x3b, 0x00, 0x00, 0x00], // lea rsi, [rip + 59]: the first record
  [0x31, 0xd2], // xor edx, edx
  [0x41, 0xba, 0x08, 0x00, 0x00, 0x00], // mov r10d, 8
  [0x0f, 0x05], // syscall
  [0xb8, 0x0d, 0x00, 0x00, 0x00], // mov eax, 13
  [0xbf, 0x02, 0x00, 0x00, 0x00], // mov edi, 2
  [0x48, 0x8d, 0x35, 0x40, 0x00, 0x00, 0x00], // lea rsi, [rip + 64]: the second record
  [0x0f, 0x05], // syscall
  [0xb8, 0x0d, 0x00, 0x00, 0x00], // mov eax, 13
  [0xbf, 0x0f, 0x00, 0x00, 0x00], // mov edi, 15
  [0x0f, 0x05], // syscall
  [0xb8, 0x22, 0x00, 0x00, 0x00], // again: mov eax, 34
  [0x0f, 0x05], // syscall
  [0xeb, 0xf7], // jmp again
  [0xb8, 0x3c, 0x00, 0x00, 0x00], // end: mov eax, 60
  [0x31, 0xff], // xor edi, edi
  [0x0f, 0x05], // syscall
].flat();
const endX64 = 67;

/**
 * arm64: number in x8, arguments in x0 to x4; all but x0 stay as they are. rt_sigaction is 134,
 * exit 93. There is no pause(), so it is ppoll(0, 0, 0, 0), call 73, which waits for a signal just
 * as well.
 */
const codeArm64 = [
  0xd28010c8, // mov x8, #134
  0xd2800220, // mov x0, #17
  0x10000281, // adr x1, #80: the first record
  0xd2800002, // mov x2, #0
  0xd2800103, // mov x3, #8
  0xd4000001, // svc #0
  0xd2800040, // mov x0, #2
  0x100002e1, // adr x1, #92: the second record
  0xd4000001, // svc #0
  0xd28001e0, // mov x0, #15
  0xd4000001, // svc #0
  0xd2800928, // again: mov x8, #73
  0xd2800000, // mov x0, #0
  0xd2800001, // mov x1, #0
  0xd2800002, // mov x2, #0
  0xd2800003, // mov x3, #0
  0xd2800004, // mov x4, #0
  0xd4000001, // svc #0
  0x17fffff9, // b again
  0xd2800ba8, // end: mov x8, #93
  0xd2800000, // mov x0, #0
  0xd4000001, // svc #0
].flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24]);
const endArm64 = 76;

/** `struct sigaction` as the kernel reads it: handler, flags, restorer and mask, of eight bytes. */
function signalRecord(handler: number, restorer: number): Buffer {
  const record = Buffer.alloc(32);
  record.writeBigUInt64LE(BigInt(handler), 0);
  if (restorer === 0) return record;
  record.writeBigUInt64LE(hasRestorer, 8);
  record.writeBigUInt64LE(BigInt(restorer), 16);
  return record;
}

/** SIG_IGN as a handler. */
const ignored = 1;
/** SA_RESTORER: x86-64 calls no handler that does not say where it returns to. Ours never does. */
const hasRestorer = 0x04000000n;

interface MachineCode {
  /** In the header of the file. */
  readonly id: number;
  readonly code: readonly number[];
  /** Where in it the program ends itself. */
  readonly end: number;
}

const machines: Readonly<Record<Architecture, MachineCode>> = {
  amd64: { id: 0x3e, code: codeX64, end: endX64 },
  arm64: { id: 0xb7, code: codeArm64, end: endArm64 },
};

/** The static executable, some three hundred bytes long. */
export function pauseProgram(architecture: Architecture): Buffer {
  const { id, code, end } = machines[architecture];
  const endAddress = baseAddress + headerBytes + end;
  const records = [signalRecord(ignored, 0), signalRecord(endAddress, endAddress)];
  const body = Buffer.concat([Buffer.from(code), ...records]);
  const header = Buffer.alloc(headerBytes);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1], 0); // magic, 64 bit, little endian, version 1
  header.writeUInt16LE(2, 16); // executable
  header.writeUInt16LE(id, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(baseAddress + headerBytes), 24); // entry point
  header.writeBigUInt64LE(64n, 32); // program headers follow this header
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  header.writeUInt32LE(1, 64); // a segment to load,
  header.writeUInt32LE(5, 68); // readable and executable
  header.writeBigUInt64LE(BigInt(baseAddress), 80);
  header.writeBigUInt64LE(BigInt(baseAddress), 88);
  header.writeBigUInt64LE(BigInt(headerBytes + body.length), 96);
  header.writeBigUInt64LE(BigInt(headerBytes + body.length), 104);
  header.writeBigUInt64LE(0x10000n, 112); // alignment fits machines with 64 KiB pages
  return Buffer.concat([header, body]);
}
