/**
 * The program that holds a pod's namespaces open: it sleeps, and lets the kernel reap the orphans
 * that it inherits as process 1 (a parent that ignores SIGCHLD never has zombies).
 *
 * Written as machine code, because a C compiler is too much to ask of the machine for thirty
 * instructions. The file is one ELF header, one program header, the code, and a `sigaction` record;
 * everything is mapped read-only and executable at one address. `images.ts` wraps it into an image.
 */
import type { Architecture } from './oci-layout.ts';

/** Where the file is mapped; the code starts right behind the two headers. */
const baseAddress = 0x400000;
const headerBytes = 64 + 56;

/**
 * x86-64: system call number in eax, arguments in rdi, rsi, rdx, r10.
 * rt_sigaction(17 = SIGCHLD, &ignore, 0, 8) is call 13; pause() is call 34.
 */
const codeX64 = [
  [0xb8, 0x0d, 0x00, 0x00, 0x00], // mov eax, 13
  [0xbf, 0x11, 0x00, 0x00, 0x00], // mov edi, 17
  [0x48, 0x8d, 0x35, 0x13, 0x00, 0x00, 0x00], // lea rsi, [rip + 19]: the record after the code
  [0x31, 0xd2], // xor edx, edx
  [0x41, 0xba, 0x08, 0x00, 0x00, 0x00], // mov r10d, 8
  [0x0f, 0x05], // syscall
  [0xb8, 0x22, 0x00, 0x00, 0x00], // again: mov eax, 34
  [0x0f, 0x05], // syscall
  [0xeb, 0xf7], // jmp again
].flat();

/**
 * arm64: number in x8, arguments in x0 to x4. rt_sigaction is 134. There is no pause(), so it is
 * ppoll(0, 0, 0, 0), call 73, which waits for a signal just as well.
 */
const codeArm64 = [
  0xd28010c8, // mov x8, #134
  0xd2800220, // mov x0, #17
  0x10000161, // adr x1, #44: the record after the code
  0xd2800002, // mov x2, #0
  0xd2800103, // mov x3, #8
  0xd4000001, // svc #0
  0xd2800928, // again: mov x8, #73
  0xd2800000, // mov x0, #0
  0xd2800001, // mov x1, #0
  0xd2800002, // mov x2, #0
  0xd2800003, // mov x3, #0
  0xd4000001, // svc #0
  0x17fffffa, // b again
].flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24]);

/** `struct sigaction` as the kernel reads it: handler 1 (SIG_IGN), no flags, restorer or mask. */
const ignoreRecord = [1, ...new Array<number>(31).fill(0)];

const machines: Readonly<Record<Architecture, { readonly id: number; readonly code: number[] }>> = {
  amd64: { id: 0x3e, code: codeX64 },
  arm64: { id: 0xb7, code: codeArm64 },
};

/** The static executable, some two hundred bytes long. */
export function pauseProgram(architecture: Architecture): Buffer {
  const { id, code } = machines[architecture];
  const body = Buffer.from([...code, ...ignoreRecord]);
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
