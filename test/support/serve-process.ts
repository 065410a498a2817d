import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../dist/processes/cli.js", import.meta.url));

type StartOptions = {
  readonly repository: string;
  readonly logDirectory?: string;
  readonly drainMs?: number;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

export type ServeProcess = {
  readonly url: string;
  /** `HOST:PORT` */
  readonly grpcAddress: string;
  readonly adminUrl: string;
  readonly child: ChildProcess;
  /** What it wrote to stderr so far: its log. */
  log(): string;
  /** Sends SIGTERM; answers the exit code. */
  stop(): Promise<number | null>;
};

/** Starts the built server on free ports; rejects with its log when it ends before it is ready. */
export async function startServe(options: StartOptions): Promise<ServeProcess> {
  const { repository, logDirectory, drainMs = 0, flags = [] } = options;
  const args = [
    ...["serve", "-r", repository, "--drain-ms", String(drainMs)],
    ...["--http-address", "127.0.0.1:0", "--grpc-address", "127.0.0.1:0"],
    ...["--admin-address", "127.0.0.1:0"],
    ...flags,
    ...(logDirectory === undefined ? [] : ["--log-dir", logDirectory]),
  ];
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const exited = once(child, "exit") as Promise<[number | null]>;
  const firstLine = once(createInterface(child.stdout), "line") as Promise<[string]>;
  const line = await Promise.race([firstLine, exited.then(([code]) => code)]);
  if (!Array.isArray(line)) throw new Error(`serve ended with code ${String(line)}:\n${log}`);
  const { http, grpc, admin } = JSON.parse(line[0]) as Readonly<Record<string, string>>;
  return {
    url: `http://${String(http)}`,
    grpcAddress: String(grpc),
    adminUrl: `http://${String(admin)}`,
    child,
    log: () => log,
    stop: async () => {
      child.kill("SIGTERM");
      const [code] = await exited;
      return code;
    },
  };
}

export async function postJson(
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly body: InferBody; readonly headers: Headers }> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const parsed = (await response.json()) as InferBody;
  return { status: response.status, body: parsed, headers: response.headers };
}

export type InferBody = {
  readonly error?: string;
  readonly id?: string;
  readonly model_name?: string;
  readonly model_version?: string;
  readonly outputs?: readonly {
    readonly name: string;
    readonly datatype: string;
    readonly shape: readonly number[];
    readonly data: readonly unknown[];
  }[];
};
