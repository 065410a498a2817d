import { type FileHandle, mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../app/ports.js";
import type { Chunk } from "./line-buffer.js";

export type SegmentOptions = {
  readonly directory: string;
  readonly prefix: string;
  readonly clock: Clock;
  readonly segmentMaxBytes: number;
  readonly segmentMaxMs: number;
};

type Segment = { readonly file: FileHandle; readonly openedAtMs: number; bytes: number };

/** Appends chunks to files `<prefix>-<UTC>-<pid>-<sequence>.jsonl`, a new one by size and by age. */
export class SegmentWriter {
  readonly #options: SegmentOptions;
  #segment: Segment | undefined;
  #sequence = 0;
  /** How much of the chunk being written is on disk: a retry goes on where the disk was full. */
  #offset = 0;

  constructor(options: SegmentOptions) {
    this.#options = options;
  }

  /** Rejects when the disk does; call it again with the same chunk. */
  async write(chunk: Chunk): Promise<void> {
    const segment = await this.#segmentFor(chunk);
    while (this.#offset < chunk.bytes.length) {
      const { bytesWritten } = await segment.file.write(chunk.bytes, this.#offset);
      this.#offset += bytesWritten;
      segment.bytes += bytesWritten;
    }
    this.#offset = 0;
  }

  async close(): Promise<void> {
    const segment = this.#segment;
    this.#segment = undefined;
    await segment?.file.close();
  }

  async #segmentFor(chunk: Chunk): Promise<Segment> {
    if (this.#segment !== undefined) {
      const isGone = await isDeleted(this.#segment.file);
      if (isGone) this.#offset = 0;
      if (isGone || this.#isOver(this.#segment, chunk)) await this.close();
    }
    this.#segment ??= await this.#openNext();
    return this.#segment;
  }

  /** A chunk is never torn over two segments: half of it in this one keeps the segment. */
  #isOver(segment: Segment, chunk: Chunk): boolean {
    const { clock, segmentMaxBytes, segmentMaxMs } = this.#options;
    if (segment.bytes === 0 || this.#offset > 0) return false;
    const ageMs = clock.monotonicMs() - segment.openedAtMs;
    return segment.bytes + chunk.bytes.length > segmentMaxBytes || ageMs >= segmentMaxMs;
  }

  async #openNext(): Promise<Segment> {
    const { directory, clock } = this.#options;
    await mkdir(directory, { recursive: true, mode: 0o750 });
    for (;;) {
      try {
        const file = await open(join(directory, this.#nextName()), "ax", 0o640);
        return { file, openedAtMs: clock.monotonicMs(), bytes: 0 };
      } catch (error) {
        // In a container every process has pid 1: a restart within a second meets its own names.
        if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      }
    }
  }

  #nextName(): string {
    const { prefix, clock } = this.#options;
    const utc = new Date(clock.nowMs()).toISOString().replace(/\.\d+|[:-]/g, "");
    const sequence = String(this.#sequence).padStart(4, "0");
    this.#sequence += 1;
    return `${prefix}-${utc}-${process.pid}-${sequence}.jsonl`;
  }
}

/** Appending to a deleted file succeeds, and the lines are nowhere. */
async function isDeleted(file: FileHandle): Promise<boolean> {
  try {
    return (await file.stat()).nlink === 0;
  } catch {
    // A handle that cannot even be asked (ESTALE of a network disk) is as good as gone.
    return true;
  }
}
