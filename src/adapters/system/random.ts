import { randomFillSync } from "node:crypto";
import type { Random } from "../../app/ports.js";

const POOL_BYTES = 4096;

/** Bytes from the kernel's generator, drawn a page at a time: one draw per request is too dear. */
export function systemRandom(): Random {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  return {
    bytes(count) {
      if (count > POOL_BYTES) return randomFillSync(new Uint8Array(count));
      if (used + count > POOL_BYTES) {
        randomFillSync(pool);
        used = 0;
      }
      used += count;
      return pool.slice(used - count, used);
    },
  };
}
