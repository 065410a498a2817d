export type Mutation = {
  /** `cut`, `double`, `flip`, or else `insert`. */
  readonly kind: string;
  /** Share of the body before it. */
  readonly at: number;
  readonly length: number;
  readonly bytes: Uint8Array | string;
};

/** The body with one piece of it cut, doubled, flipped or put before others. */
export function mutated(body: Buffer, { kind, at, length, bytes }: Mutation): Buffer {
  const start = Math.floor(at * body.length);
  const [head, middle, rest] = [
    body.subarray(0, start),
    body.subarray(start, start + length),
    body.subarray(start + length),
  ];
  if (kind === "cut") return Buffer.concat([head, rest]);
  if (kind === "double") return Buffer.concat([head, middle, middle, rest]);
  if (kind === "flip") return Buffer.concat([head, middle.map((byte) => byte ^ 0x55), rest]);
  return Buffer.concat([head, Buffer.from(bytes), middle, rest]);
}
