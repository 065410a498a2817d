import type { Batcher, Decision, Refusal, Run } from "../../core/batching/request.js";
import type { SimulatedRequest } from "../simulate.js";

export type Request = SimulatedRequest;

/** A queue in order of arrival: what the other policies have in common. */
export abstract class Fifo implements Batcher<Request> {
  protected waiting: Request[] = [];

  get waitingItems(): number {
    return this.waiting.length;
  }

  enter(request: Request, _idleInstances: number, _nowMs: number): readonly Refusal<Request>[] {
    this.waiting.push(request);
    return [];
  }

  abstract next(idleInstances: number, nowMs: number): Decision<Request>;

  leave(request: Request): boolean {
    const at = this.waiting.indexOf(request);
    if (at >= 0) this.waiting.splice(at, 1);
    return at >= 0;
  }

  clear(): readonly Request[] {
    return this.waiting.splice(0);
  }

  rerun(requests: readonly Request[], nowMs: number): Run<Request> {
    const length = requests.reduce((longest, request) => Math.max(longest, request.length), 0);
    return { requests, items: requests.length, length, startedAtMs: nowMs, predictedMs: 0 };
  }

  ended(_run: Run<Request>, _nowMs: number): void {
    // Most of them learn nothing.
  }

  protected run(
    count: number,
    nowMs: number,
    refuse: readonly Refusal<Request>[] = [],
  ): Decision<Request> {
    return { refuse, next: { kind: "run", run: this.rerun(this.waiting.splice(0, count), nowMs) } };
  }

  protected wait(untilMs: number, refuse: readonly Refusal<Request>[] = []): Decision<Request> {
    return { refuse, next: { kind: "wait", untilMs } };
  }

  /** Takes out the head, as refused. */
  protected refuseHead(nowMs: number): readonly Refusal<Request>[] {
    return this.waiting.splice(0, 1).map((request) => {
      return { request, reason: "expired", predictedMs: 0, leftMs: request.dueAtMs - nowMs };
    });
  }
}
