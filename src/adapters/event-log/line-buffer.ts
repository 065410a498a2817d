/** Whole lines, encoded and ready for the disk. */
export type Chunk = { readonly bytes: Buffer; readonly lines: number };

const NEWLINE = 0x0a;

/**
 * A bounded first-in first-out buffer of lines. Text is encoded as it comes: strings that live
 * until the next flush would be promoted to the old space, and collected from there.
 */
export class LineBuffer {
  readonly #chunkBytes: number;
  readonly #maxBytes: number;
  readonly #sealed: Chunk[] = [];
  #open: Buffer | undefined;
  #openBytes = 0;
  #openLines = 0;
  #bytes = 0;

  constructor(limits: { readonly chunkBytes: number; readonly maxBytes: number }) {
    this.#chunkBytes = limits.chunkBytes;
    this.#maxBytes = limits.maxBytes;
  }

  /** Adds the text and a newline; false, and nothing is kept, when that would pass the bound. */
  push(text: string): boolean {
    const lineBytes = Buffer.byteLength(text) + 1;
    if (this.#bytes + lineBytes > this.#maxBytes) return false;
    const open = this.#roomFor(lineBytes);
    open.write(text, this.#openBytes);
    this.#openBytes += lineBytes;
    open[this.#openBytes - 1] = NEWLINE;
    this.#openLines += 1;
    this.#bytes += lineBytes;
    return true;
  }

  /** The oldest sealed chunk. It counts against the bound until drop(). */
  first(): Chunk | undefined {
    return this.#sealed[0];
  }

  drop(): void {
    this.#bytes -= this.#sealed.shift()?.bytes.length ?? 0;
  }

  /** Makes what was pushed so far visible to first(). */
  seal(): void {
    if (this.#open === undefined) return;
    this.#sealed.push({
      bytes: this.#open.subarray(0, this.#openBytes),
      lines: this.#openLines,
    });
    this.#open = undefined;
    this.#openBytes = 0;
    this.#openLines = 0;
  }

  get lines(): number {
    return this.#sealed.reduce((sum, chunk) => sum + chunk.lines, this.#openLines);
  }

  #roomFor(lineBytes: number): Buffer {
    if (this.#open !== undefined && this.#openBytes + lineBytes > this.#open.length) this.seal();
    this.#open ??= Buffer.allocUnsafe(Math.max(this.#chunkBytes, lineBytes));
    return this.#open;
  }
}
