import { spawn } from "node:child_process";
import type { Readable } from "node:stream";

export type Child = {
  readonly stdout: Readable;
  /** The end of what it wrote there so far; or why it could not be started. */
  stderr(): string;
  hasExited(): boolean;
  readonly exited: Promise<void>;
  /** At once and for certain: it gets no word in. */
  kill(): void;
};

export type StartChild = (command: string, args: readonly string[], directory: string) => Child;

export const startChild: StartChild = (command, args, directory) => {
  const child = spawn(command, args, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-20_000);
  });
  let hasExited = false;
  const exited = new Promise<void>((resolve) => {
    const done = () => {
      hasExited = true;
      resolve();
    };
    child.once("exit", done);
    // A command that cannot be started has no exit, only an error.
    child.on("error", (error) => {
      stderr += String(error);
      if (child.pid === undefined) done();
    });
  });
  return {
    stdout: child.stdout,
    stderr: () => stderr,
    hasExited: () => hasExited,
    exited,
    kill: () => {
      child.kill("SIGKILL");
    },
  };
};
