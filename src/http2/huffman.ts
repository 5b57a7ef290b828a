/**
 * Texts in the Huffman code of HPACK (RFC 7541, section 5.2 and appendix B), read a byte at a time.
 *
 * What was read of a code that is not whole yet is a node of the tree of codes: 256 of them, since
 * there are 257 symbols. A table says for each node and each byte what symbols the byte ends (at
 * most two, the shortest code has five bits) and at which node it leaves off. So a byte costs one
 * look-up, however its bits fall. What the table says is found out when it is first asked, since of
 * its 65,536 entries the texts of a cluster need a few hundred.
 */

/**
 * Bits of the code of each symbol, as a digit in base 36: of the 256 bytes and of the end, which is
 * never sent. They determine the codes: those of a length count up with their symbols, and go on
 * where those of the length before left off.
 */
const codeLengths =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq' +
  'u';

/** The end, which is never sent; the symbols before it are the bytes. */
const endSymbol = 256;

/** A text may end within a code of ones alone, of at most this many bits. */
const paddingBitsMax = 7;

/** Texts up to this length, decoded, need no buffer of their own. */
const scratchBytes = 16_384;

interface Code {
  /**
   * Nodes as pairs: where a 0 and where a 1 leads, below zero to the symbol -1 - x. The root is 0,
   * and node n, up to the bits of the longest code, is where n ones lead.
   */
  readonly tree: Int16Array;
  /**
   * By node and byte (8 bits each): the symbols in the order in which they end (8 bits each), the
   * node after them (8 bits) and how many they are. -1 where the end symbol is among them, 0 while
   * nobody asked.
   */
  readonly steps: Int32Array;
  readonly scratch: Buffer;
}

/** Made when the first text comes. */
let made: Code | undefined;

/**
 * The text of the bytes from `start` to before `end`, latin1. Undefined where they are no valid
 * code: padding longer than 7 bits or not all ones, or the end symbol.
 */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string | undefined {
  made ??= makeCode();
  const { tree, steps, scratch } = made;
  // The shortest code has five bits; of a step both symbols are written, needed or not.
  const lengthMax = Math.ceil(((end - start) * 8) / 5) + 2;
  const text = lengthMax <= scratchBytes ? scratch : Buffer.allocUnsafe(lengthMax);
  let length = 0;
  // Where it belongs in the number of a step, to save the shift.
  let node = 0;
  for (let at = start; at < end; at++) {
    const asked = node | (bytes[at] ?? 0);
    let step = steps[asked] ?? -1;
    if (step <= 0) {
      step = stepOf(tree, asked);
      steps[asked] = step;
      if (step < 0) return undefined;
    }
    text[length] = step;
    text[length + 1] = step >> 8;
    node = (step >> 8) & 0xff00;
    length += step >> 24;
  }
  return node <= paddingBitsMax << 8 ? text.toString('latin1', 0, length) : undefined;
}

function stepOf(tree: Int16Array, asked: number): number {
  let node = asked >> 8;
  let symbols = 0;
  let count = 0;
  for (let bit = 7; bit >= 0; bit--) {
    node = tree[2 * node + ((asked >> bit) & 1)] ?? 0;
    if (node >= 0) continue;
    const symbol = -1 - node;
    if (symbol === endSymbol) return -1;
    symbols |= symbol << (8 * count++);
    node = 0;
  }
  return (count << 24) | (node << 16) | symbols;
}

function makeCode(): Code {
  const lengths = Array.from(codeLengths, (digit) => Number.parseInt(digit, 36));
  const longest = Math.max(...lengths);
  const tree = new Int16Array(2 * endSymbol);
  let nodes = 1;
  const enter = (symbol: number, code: number, bits: number): void => {
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const way = 2 * node + ((code >> bit) & 1);
      node = tree[way] || nodes++;
      tree[way] = node;
    }
    tree[2 * node + (code & 1)] = -1 - symbol;
  };
  // The end is ones alone. Entered first, it gives its nodes the numbers of their depths.
  enter(endSymbol, 2 ** longest - 1, longest);
  let code = 0;
  for (let bits = 1; bits <= longest; bits++, code *= 2) {
    for (let symbol = 0; symbol < endSymbol; symbol++) {
      if (lengths[symbol] === bits) enter(symbol, code++, bits);
    }
  }
  return { tree, steps: new Int32Array(256 * 256), scratch: Buffer.allocUnsafeSlow(scratchBytes) };
}
