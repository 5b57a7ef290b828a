/** Every symbol, wherever it falls within bytes, and what is no valid code. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitsToBytes, encodeHuffman, huffmanCodes } from '#test/huffman-code.ts';
import { decodeHuffman } from './huffman.ts';

function decode(bytes: Buffer): string | undefined {
  return decodeHuffman(bytes, 0, bytes.length);
}

test('every pair of symbols is read', () => {
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 256; second++) {
      const text = String.fromCharCode(first, second);
      assert.equal(decode(encodeHuffman(text)), text);
    }
  }
});

test('a text is read from where it starts to where it ends', () => {
  const coded = encodeHuffman('www.example.com');
  const bytes = Buffer.concat([Buffer.from('before'), coded, Buffer.from('after')]);
  assert.equal(decodeHuffman(bytes, 6, 6 + coded.length), 'www.example.com');
  assert.equal(decodeHuffman(bytes, 6, 6), '');
});

test('long texts are read, and short ones after them', () => {
  for (const length of [10_238, 10_239, 10_240, 10_241, 100_000]) {
    const text = 'a'.repeat(length);
    assert.equal(decode(encodeHuffman(text)), text);
  }
  assert.equal(decode(encodeHuffman('a')), 'a');
});

test('padding is up to seven ones', () => {
  // 0 has the code 00000, and X 11111100.
  assert.equal(decode(bitsToBytes('00000111')), '0');
  assert.equal(decode(bitsToBytes('11111100')), 'X');
  // Seven ones: o has the code 00111, & 11111000, and five and six bits make eleven.
  assert.equal(
    decode(bitsToBytes('00000 00000 00000 00000 00000 1111111'.replaceAll(' ', ''))),
    '00000',
  );
  assert.equal(decode(bitsToBytes('1111100011111111')), undefined, 'a whole byte of it');
  assert.equal(decode(Buffer.from([0xff])), undefined, 'nothing else');
  assert.equal(decode(bitsToBytes('0000000000 000000'.replaceAll(' ', ''))), undefined, 'a zero');
  assert.equal(decode(bitsToBytes('00000110')), undefined, 'a zero at the end');
  assert.equal(decode(bitsToBytes('00000011')), undefined, 'a zero at the beginning');
});

test('the end symbol is refused wherever it comes', () => {
  const end = huffmanCodes.get(256) ?? '';
  for (const before of ['', '00000', '1111100000000', '11111000']) {
    assert.equal(decode(bitsToBytes(before + end)), undefined, before);
    // Refused when it was met before as well, and with what follows it.
    assert.equal(decode(bitsToBytes(`${before}${end}00000`)), undefined, before);
  }
});
