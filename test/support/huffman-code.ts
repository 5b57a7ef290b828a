/**
 * The writing half of the Huffman code of HPACK (RFC 7541, appendix B), which the server has no use
 * for: it reads what clients coded. The code is listed in another form than there, so that a slip
 * in one of them shows.
 */

/** By bits: the symbols whose code is that long, in order. 256 is the end, never sent. */
const symbolsByBits: Readonly<Record<number, readonly (string | number)[]>> = {
  5: ['012aceiost'],
  6: [' %-./3456789=A_bdfghlmnpru'],
  7: [':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  8: ['&*,;XZ'],
  10: ['!"()?'],
  11: ["'+|"],
  12: ['#>'],
  13: ['\0$@[]~'],
  14: ['^}'],
  15: ['<`{'],
  19: ['\\', 195, 208],
  20: [128, 130, 131, 162, 184, 194, 224, 226],
  21: [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230],
  22: [
    129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187,
    189, 190, 196, 198, 228, 232, 233,
  ],
  23: [
    1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168,
    174, 175, 180, 182, 183, 188, 191, 197, 231, 239,
  ],
  24: [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237],
  25: [199, 207, 234, 235],
  26: [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255],
  27: [
    203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254,
  ],
  28: [
    2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    127, 220, 249,
  ],
  30: [10, 13, 22, 256],
};

/** The first code of each length, as the appendix has it. */
const firstCodes: Readonly<Record<number, number>> = {
  5: 0x0,
  6: 0x14,
  7: 0x5c,
  8: 0xf8,
  10: 0x3f8,
  11: 0x7fa,
  12: 0xffa,
  13: 0x1ff8,
  14: 0x3ffc,
  15: 0x7ffc,
  19: 0x7fff0,
  20: 0xfffe6,
  21: 0x1fffdc,
  22: 0x3fffd2,
  23: 0x7fffd8,
  24: 0xffffea,
  25: 0x1ffffec,
  26: 0x3ffffe0,
  27: 0x7ffffde,
  28: 0xfffffe2,
  30: 0x3ffffffc,
};

/** By symbol: its code, written in zeros and ones. */
export const huffmanCodes: ReadonlyMap<number, string> = new Map(
  Object.entries(symbolsByBits).flatMap(([bits, listed]) =>
    listed
      .flatMap((some) => (typeof some === 'string' ? [...Buffer.from(some, 'latin1')] : [some]))
      .map((symbol, i) => {
        const code = (firstCodes[Number(bits)] ?? 0) + i;
        return [symbol, code.toString(2).padStart(Number(bits), '0')] as const;
      }),
  ),
);

/** The text, latin1, in the code, filled up with ones to whole bytes. */
export function encodeHuffman(text: string): Buffer {
  return bitsToBytes([...Buffer.from(text, 'latin1')].map(codeOf).join(''));
}

/** Zeros and ones, filled up with ones. */
export function bitsToBytes(bits: string): Buffer {
  const bytes = bits.match(/.{1,8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte.padEnd(8, '1'), 2)));
}

function codeOf(symbol: number): string {
  return huffmanCodes.get(symbol) ?? '';
}
