import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChild } from "../adapters/toolchain/child-process.js";
import type { Child, StartChild } from "../adapters/toolchain/child-process.js";

const REMOVAL_ATTEMPTS = 100;
const REMOVAL_PAUSE_MS = 20;

/** The folder of the demo and the processes in it: they go together, however the demo ends. */
export type Stage = {
  readonly folder: string;
  readonly start: StartChild;
  /** Kills the processes and removes the folder. Nothing can be started afterwards. */
  readonly strike: () => void;
};

export function setStage(): Stage {
  const folder = mkdtempSync(join(tmpdir(), "weir-demo-"));
  const children: Child[] = [];
  let isStruck = false;
  const strike = () => {
    if (isStruck) return;
    isStruck = true;
    process.off("exit", strike);
    // Killed, not asked to stop: nothing they would still write is kept.
    for (const child of children) child.kill();
    removeFolder(folder);
  };
  // A broken pipe or terminal ends the process where no `finally` runs.
  process.once("exit", strike);
  return {
    folder,
    start: (...args) => {
      if (isStruck) throw new Error("the demo is over");
      const child = startChild(...args);
      children.push(child);
      return child;
    },
    strike,
  };
}

/** A killed process is not gone at once: what it wrote beside the removal is removed as well. */
function removeFolder(folder: string): void {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // `maxRetries` of its own would try the emptied folder again, not what has come into it.
      rmSync(folder, { recursive: true, force: true });
      return;
    } catch (error) {
      if (attempt === REMOVAL_ATTEMPTS) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REMOVAL_PAUSE_MS);
    }
  }
}
