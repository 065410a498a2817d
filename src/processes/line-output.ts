import { once } from "node:events";
import type { Writable } from "node:stream";

const CHUNK_CHARACTERS = 64 * 1024;

/** Lines to a stream in large writes, waiting when the reader is slow. */
export type LineOutput = { line(text: string): Promise<void> | undefined; end(): Promise<void> };

export function lineOutput(stream: Writable): LineOutput {
  let pending = "";
  const flush = async () => {
    const text = pending;
    pending = "";
    if (text !== "" && !stream.write(text)) await once(stream, "drain");
  };
  return {
    line(text) {
      pending += `${text}\n`;
      return pending.length >= CHUNK_CHARACTERS ? flush() : undefined;
    },
    end: flush,
  };
}
