import { Agent, request, type IncomingHttpHeaders } from "node:http";

export type LoadAnswer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

export type Load = {
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  /** Requests in all; with a signal it may be Infinity. */
  readonly requests: number;
  /** No request starts once it is aborted; those in flight are finished. */
  readonly signal?: AbortSignal;
  /** Headers of the n-th request. */
  readonly headers?: (index: number) => Readonly<Record<string, string>>;
  readonly onAnswer?: (index: number, answer: LoadAnswer) => void;
};

export type LoadResult = {
  readonly answered: number;
  /** Answers by status; a connection that failed counts under its error code. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

const BODY = "{}";

/** A closed loop: every connection sends its next request when the answer is there. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.connections });
  const outcomes: Record<string, number> = {};
  const latenciesMs: number[] = [];
  let next = 0;
  const client = async () => {
    while (next < load.requests && load.signal?.aborted !== true) {
      const index = next++;
      const sentAtMs = performance.now();
      const answer = await post(agent, load, index).catch((error: unknown) => errorCode(error));
      latenciesMs.push(performance.now() - sentAtMs);
      const outcome = typeof answer === "string" ? answer : String(answer.status);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (typeof answer !== "string") load.onAnswer?.(index, answer);
    }
  };
  const startedAtMs = performance.now();
  await Promise.all(Array.from({ length: load.connections }, client));
  const seconds = (performance.now() - startedAtMs) / 1000;
  agent.destroy();
  latenciesMs.sort((a, b) => a - b);
  return {
    answered: latenciesMs.length,
    outcomes,
    requestsPerSecond: Math.round(latenciesMs.length / seconds),
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
  };
}

type Target = Pick<Load, "port" | "path" | "headers">;

/** One POST over a kept connection. */
export function post(agent: Agent, load: Target, index: number): Promise<LoadAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...{ agent, host: "127.0.0.1", port: load.port, path: load.path, method: "POST" },
        headers: { "content-length": BODY.length, ...load.headers?.(index) },
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
        response.on("error", reject).on("end", () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      },
    );
    outgoing.on("error", reject).end(BODY);
  });
}

export const errorCode = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error);

export function quantile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return Math.round(value * 100) / 100;
}
