import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { ServiceError } from "../core/error.js";

const CLI = fileURLToPath(new URL("../processes/cli.js", import.meta.url));
const STOP_DEADLINE_MS = 10_000;

export type Child = {
  readonly pid: number;
  /** Ends the process and waits; a process that does not end is killed. */
  stop(): Promise<void>;
};
export type WeirChild = Child & {
  /** The ready line: addresses by name. */
  readonly ready: Readonly<Record<string, string>>;
};

/** Starts a program of this very build and waits for its ready line. */
export async function startWeir(args: readonly string[]): Promise<WeirChild> {
  const child = startChild(process.execPath, [CLI, ...args]);
  const line = await Promise.race([firstLine(child.process.stdout), child.exited]);
  if (line === undefined) {
    throw new ServiceError(
      "dependencyDown",
      `weir ${args[0] ?? ""} ended before it was ready:\n${child.stderr()}`,
    );
  }
  const ready = JSON.parse(line) as Readonly<Record<string, string>>;
  return { pid: child.pid, stop: child.stop, ready };
}

/** Starts any program; its error output is kept for messages. */
export function startChild(command: string, args: readonly string[], directory?: string) {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    ...(directory === undefined ? {} : { cwd: directory }),
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-10_000);
  });
  // A command that cannot be started has no exit, only an error.
  const exited = Promise.race([
    once(child, "exit").then(() => undefined),
    once(child, "error").then(([error]: unknown[]) => {
      stderr += String(error);
    }),
  ]).then(() => undefined);
  return {
    process: child,
    pid: child.pid ?? 0,
    stderr: () => stderr,
    exited,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
      child.kill("SIGTERM");
      const kill = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
      await exited;
      clearTimeout(kill);
    },
  };
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string | undefined> {
  const lines = createInterface({ input: stream });
  for await (const line of lines) {
    // The pipe must be read on, or the child would block when it is full.
    stream.resume();
    return line;
  }
  return undefined;
}
