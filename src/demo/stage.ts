import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChild } from "../adapters/toolchain/child-process.js";
import type { Child, StartChild } from "../adapters/toolchain/child-process.js";

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
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
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
