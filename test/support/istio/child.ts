import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

export type Child = {
  /** Throws with its last output when it has ended, for loops that wait for it. */
  readonly mustRun: () => void;
  readonly output: () => string;
  readonly stop: () => Promise<void>;
};

/** A program that runs until it is stopped. */
export function startChild(
  binary: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Child {
  const child = spawn(binary, args, {
    cwd: options.cwd,
    env: { PATH: process.env["PATH"], HOME: options.cwd, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-200_000);
    });
  }
  const exited = once(child, "exit");
  return {
    mustRun: () => {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`${binary} ended:\n${output.slice(-8000)}`);
      }
    },
    output: () => output,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Below the ports that systems hand out by themselves, so that no connection takes one. */
const FIRST_PORT = 10_000;
const LAST_PORT = 32_000;
let nextPort = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));

/** Ports that nobody listens on, for programs that cannot pick their own; each is given once. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found: number[] = [];
  while (found.length < count) {
    nextPort = nextPort < LAST_PORT ? nextPort + 1 : FIRST_PORT;
    const port = nextPort;
    if (await isFree(port)) found.push(port);
  }
  return found;
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
