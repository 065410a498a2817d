import { stat } from "node:fs/promises";
import type { CompiledPolicy } from "../../core/policy/compiled-policy.js";
import type { LoadedPolicy } from "./load-policy.js";

export type WatchEvents = {
  readonly onLoaded: (policy: CompiledPolicy, warnings: readonly string[]) => void;
  readonly onRefused: (mistakes: readonly string[]) => void;
};

export type WatchedPolicy = {
  /** The policy in force: one immutable object, swapped whole. */
  readonly current: () => CompiledPolicy;
  /** Mistakes of the newest file when it was refused; null when the file is in force. */
  readonly refused: () => readonly string[] | null;
  close(): void;
};

/**
 * Keeps the newest good policy of a file in force. Polls the file's identity instead of waiting for
 * change events: those do not arrive for a mounted ConfigMap, which swaps a symbolic link. A change
 * is read once it has stayed the same for one interval, so a half-written file is not read.
 */
export async function watchPolicy(
  file: string,
  load: (file: string) => Promise<LoadedPolicy>,
  events: WatchEvents,
  intervalMs = 250,
): Promise<WatchedPolicy | { readonly mistakes: readonly string[] }> {
  let inForce = await identityOf(file);
  const first = await load(file);
  if (first.kind === "refused") return { mistakes: first.mistakes };
  events.onLoaded(first.policy, first.warnings);

  let current = first.policy;
  let refused: readonly string[] | null = null;
  let seen = inForce;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  const swap = (loaded: LoadedPolicy) => {
    if (closed) return;
    if (loaded.kind === "refused") {
      refused = loaded.mistakes;
      events.onRefused(loaded.mistakes);
      return;
    }
    refused = null;
    current = loaded.policy;
    events.onLoaded(loaded.policy, loaded.warnings);
  };
  const poll = async () => {
    const now = await identityOf(file);
    if (now !== inForce && now === seen) {
      inForce = now;
      swap(
        now === IRREGULAR
          ? { kind: "refused", mistakes: [`${file}: is no regular file: put a policy file there`] }
          : await load(file),
      );
    }
    seen = now;
  };
  const schedule = () => {
    timer = setTimeout(() => {
      void poll().finally(() => {
        if (!closed) schedule();
      });
    }, intervalMs);
    timer.unref();
  };
  schedule();
  return {
    current: () => current,
    refused: () => refused,
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}

const IRREGULAR = "irregular";

/** Changes whenever the file is written, replaced, or its link points elsewhere. */
async function identityOf(file: string): Promise<string> {
  try {
    const found = await stat(file, { bigint: true });
    // Reading a pipe would wait for its writer, and nothing would be reloaded again.
    if (!found.isFile()) return IRREGULAR;
    const { ino, size, mtimeNs } = found;
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    return "absent";
  }
}
