import type { CallerSignal } from "./call-facts.js";

/**
 * Runs the parts of one request. Its caller's leaving is theirs too, and when one of them fails
 * those that still wait are taken back.
 */
export async function withTakeBack<Answer>(
  signal: CallerSignal | undefined,
  run: (signal: CallerSignal) => Promise<Answer>,
): Promise<Answer> {
  const over = new AbortController();
  const takeBack = () => {
    over.abort();
  };
  signal?.addEventListener("abort", takeBack);
  if (signal?.aborted === true) takeBack();
  try {
    return await run(over.signal);
  } finally {
    takeBack();
    signal?.removeEventListener("abort", takeBack);
  }
}
