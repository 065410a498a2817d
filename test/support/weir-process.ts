import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../dist/processes/cli.js", import.meta.url));

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** A server of the built `weir`, as an operator starts it. */
export type WeirProcess = {
  readonly pid: number;
  /** HOST:PORT or unix:/PATH of its ready line. */
  address(name: "grpc" | "http" | "admin"): string;
  /** Samples of /metrics; the key is written as Prometheus writes it: `name{label="value"}`. */
  metrics(): Promise<ReadonlyMap<string, number>>;
  readyz(): Promise<{ readonly status: number; readonly body: unknown }>;
  /** What it wrote to stderr so far: its log. */
  log(): string;
  /** Stops it where it is, as a machine that has too much to do; `resume` lets it go on. */
  pause(): void;
  resume(): void;
  /** Sends the signal and waits for the end; further calls only wait. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<Exit>;
};

/** Starts on free ports, and waits for the ready line; rejects with the log when there is none. */
export async function startWeir(
  command: "extproc" | "serve",
  flags: readonly string[],
): Promise<WeirProcess> {
  const child = spawn(process.execPath, [CLI, command, ...defaultFlags(command), ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const firstLine = once(createInterface(child.stdout), "line") as Promise<[string]>;
  const line = await Promise.race([firstLine, exited.then(() => undefined)]);
  if (line === undefined) throw new Error(`weir ${command} ended before it was ready:\n${log}`);
  const ready = JSON.parse(line[0]) as Readonly<Record<string, unknown>>;
  const address = (name: string): string => {
    const value = ready[name];
    if (typeof value !== "string") throw new Error(`weir ${command} has no ${name}: ${line[0]}`);
    return value;
  };
  const fromAdmin = (path: string) => fetch(`http://${address("admin")}${path}`);
  const { pid } = child;
  if (pid === undefined) throw new Error(`weir ${command} has no process`);
  return {
    ...{ pid, address },
    metrics: async () => samplesOf(await (await fromAdmin("/metrics")).text()),
    readyz: async () => {
      const response = await fromAdmin("/readyz");
      return { status: response.status, body: await response.json() };
    },
    log: () => log,
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    stop: async (signal = "SIGTERM") => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const [code, by] = await exited;
      return { code, signal: by };
    },
  };
}

function defaultFlags(command: "extproc" | "serve"): readonly string[] {
  // On a machine with too much to do nothing is shed unless a test asks for it.
  const own = command === "extproc" ? ["--max-lag-ms", "20000"] : ["--http-address", "127.0.0.1:0"];
  return [...own, "--grpc-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"];
}

function samplesOf(exposition: string): ReadonlyMap<string, number> {
  const samples = exposition.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    samples.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

export type Finished = {
  readonly code: number | null;
  /** Empty when lines were taken one by one. */
  readonly stdout: string;
  readonly stderr: string;
};

/** Runs a command of `weir` to its end; long outputs are taken line by line. */
export async function runWeir(
  args: readonly string[],
  options: { readonly input?: Readable; readonly onLine?: (line: string) => void } = {},
): Promise<Finished> {
  const { input, onLine } = options;
  const child = spawn(process.execPath, [CLI, ...args]);
  const exited = once(child, "exit") as Promise<[number | null]>;
  const output =
    onLine === undefined ? text(child.stdout) : everyLine(child.stdout, onLine).then(() => "");
  // A command that ends before it has read everything closes the pipe; its exit code says why.
  if (input === undefined) child.stdin.end();
  else void pipeline(input, child.stdin).catch(() => undefined);
  const [[code], stdout, stderr] = await Promise.all([exited, output, text(child.stderr)]);
  return { code, stdout, stderr };
}

async function everyLine(stream: Readable, onLine: (line: string) => void): Promise<void> {
  for await (const line of createInterface(stream)) onLine(line);
}
