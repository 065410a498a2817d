import { CODE, Http2Error } from "./error.js";

/**
 * Code lengths of the symbols 0 to 256 in base 36 (RFC 7541, appendix B). The code is canonical:
 * codes of one length count up with their symbols, so the lengths are all there is to it.
 */
const LENGTHS =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6" +
  "f56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmnlnmnnkmmmnmm" +
  "nqqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu";
const END_OF_STRING = 256;
const NO_SYMBOL = -1;
/** Padding is at most 7 bits, all ones (5.2). */
const MAX_PADDING_BITS = 7;

/** What four bits do in one state: no code is shorter than five, so they end one symbol at most. */
type Steps = { readonly next: Int16Array; readonly symbol: Int16Array; readonly isEnd: boolean[] };

const STEPS = stepsOf(codeTree());

/** Decodes into `into`, which must hold two bytes for each one read; returns the decoded length. */
export function huffmanDecode(bytes: Uint8Array, from: number, to: number, into: Uint8Array) {
  const { next, symbol, isEnd } = STEPS;
  let state = 0;
  let length = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    for (let half = byte >> 4, shift = 0; shift < 2; half = byte & 15, shift++) {
      const step = (state << 4) | half;
      const decoded = symbol[step] ?? NO_SYMBOL;
      if (decoded === END_OF_STRING) throw malformed();
      if (decoded !== NO_SYMBOL) into[length++] = decoded;
      state = next[step] ?? 0;
    }
  }
  if (isEnd[state] !== true) throw malformed();
  return length;
}

const malformed = () =>
  new Http2Error(CODE.compressionError, "a header string is no Huffman code (RFC 7541, 5.2)");

/** A leaf is -1 - symbol, another node its index; node 0 is the root. */
type Tree = (readonly [number, number])[];

function codeTree(): Tree {
  const lengths = Array.from(LENGTHS, (length) => Number.parseInt(length, 36));
  const symbols = lengths
    .map((length, symbol) => ({ length, symbol }))
    .sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const nodes: [number, number][] = [[0, 0]];
  let code = 0;
  let before = 0;
  for (const { length, symbol } of symbols) {
    code = code * 2 ** (length - before);
    before = length;
    let node = nodes[0] ?? [0, 0];
    for (let bit = length - 1; bit >= 0; bit--) {
      const side = Math.floor(code / 2 ** bit) % 2 === 0 ? 0 : 1;
      if (bit === 0) node[side] = -1 - symbol;
      else {
        if (node[side] === 0) node[side] = nodes.push([0, 0]) - 1;
        node = nodes[node[side]] ?? [0, 0];
      }
    }
    code++;
  }
  return nodes;
}

function stepsOf(tree: Tree): Steps {
  const next = new Int16Array(tree.length * 16);
  const symbol = new Int16Array(tree.length * 16).fill(NO_SYMBOL);
  tree.forEach((_, state) => {
    for (let half = 0; half < 16; half++) {
      let node = state;
      for (let bit = 3; bit >= 0; bit--) {
        const reached = child(tree, node, half >> bit);
        if (reached < 0) symbol[state * 16 + half] = -1 - reached;
        node = Math.max(0, reached);
      }
      next[state * 16 + half] = node;
    }
  });
  const isEnd = tree.map(() => false);
  for (let node = 0, bits = 0; bits <= MAX_PADDING_BITS; bits++, node = child(tree, node, 1)) {
    isEnd[node] = true;
  }
  return { next, symbol, isEnd };
}

function child(tree: Tree, node: number, bit: number): number {
  return tree[node]?.[bit & 1] ?? 0;
}
