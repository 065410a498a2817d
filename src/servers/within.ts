import { setTimeout as delay } from "node:timers/promises";

/** Waits for the work, at most so long. */
export async function within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const deadline = new AbortController();
  const late = delay(timeoutMs, undefined, { signal: deadline.signal }).catch(() => undefined);
  await Promise.race([work, late]);
  deadline.abort();
}
