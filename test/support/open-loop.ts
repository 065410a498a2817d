import { Agent } from "node:http";
import { errorCode, post, quantile, type LoadAnswer } from "./http-load.js";

const TICK_MS = 5;

export type OpenLoopOptions = {
  readonly path: string;
  readonly perSecond: number;
  /** What is due while so many are unanswered is not sent, and counted. */
  readonly maxOutstanding: number;
  readonly headers: (index: number) => Readonly<Record<string, string>>;
  /** A connection that failed comes as its error code. */
  readonly onAnswer: (index: number, answer: LoadAnswer | string) => void;
};

/** What became of the requests since the last look. */
export type OpenLoopWindow = {
  readonly answered: number;
  readonly unsent: number;
  /** From the moment that a request was due, so that a stall is seen by all that it delays. */
  readonly p50Ms: number;
  readonly p99Ms: number;
};

/** Constant arrivals, in turn at whoever takes part; what is in flight belongs to its port. */
export type OpenLoop = {
  readonly join: (port: number) => void;
  /** Sends nothing more there, and waits for the answers. */
  readonly leave: (port: number) => Promise<void>;
  readonly window: () => OpenLoopWindow;
  /** Sends nothing more anywhere, and waits for the answers. */
  readonly end: () => Promise<void>;
};

type Target = { readonly agent: Agent; readonly inFlight: Set<Promise<void>> };

export function startOpenLoop(options: OpenLoopOptions): OpenLoop {
  const targets = new Map<number, Target>();
  const startedAtMs = performance.now();
  let [due, outstanding, unsent] = [0, 0, 0];
  let latenciesMs: number[] = [];

  const send = (index: number, port: number, { agent, inFlight }: Target) => {
    const dueAtMs = startedAtMs + (index * 1000) / options.perSecond;
    outstanding += 1;
    const request = { port, path: options.path, headers: options.headers };
    const sent = post(agent, request, index)
      .catch(errorCode)
      .then((answer) => {
        outstanding -= 1;
        latenciesMs.push(performance.now() - dueAtMs);
        options.onAnswer(index, answer);
        inFlight.delete(sent);
      });
    inFlight.add(sent);
  };
  const timer = setInterval(() => {
    const dueNow = Math.floor(((performance.now() - startedAtMs) * options.perSecond) / 1000);
    const taking = [...targets];
    for (; due < dueNow; due += 1) {
      const target = taking[due % taking.length];
      if (target === undefined || outstanding >= options.maxOutstanding) unsent += 1;
      else send(due, ...target);
    }
  }, TICK_MS);
  const leave = async (port: number) => {
    const target = targets.get(port);
    targets.delete(port);
    await Promise.all([...(target?.inFlight ?? [])]);
    target?.agent.destroy();
  };
  return {
    join: (port) =>
      targets.set(port, { agent: new Agent({ keepAlive: true }), inFlight: new Set() }),
    leave,
    window: () => {
      const sorted = latenciesMs.sort((a, b) => a - b);
      const figures = { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) };
      const seen = { answered: sorted.length, unsent, ...figures };
      [latenciesMs, unsent] = [[], 0];
      return seen;
    },
    end: async () => {
      clearInterval(timer);
      await Promise.all([...targets.keys()].map(leave));
    },
  };
}
