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

/** Ports that nobody listens on at this moment, for programs that cannot pick their own. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(
    servers.map((server) => new Promise<void>((resolve) => server.listen(0, resolve))),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no free port");
    return address.port;
  });
  await Promise.all(
    servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => {
            resolve();
          });
        }),
    ),
  );
  return ports;
}
