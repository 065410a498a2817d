import type { QueuedRequest } from "./request.js";

export type TenantQueue<Request> = {
  /** By rank. */
  waiting: Request[];
  workMs: number;
  /** Instance time it was given, on the clock of fair shares. */
  servedMs: number;
};

/**
 * What waits, by tenant. Shares are fair in predicted instance time, not in requests: whoever got
 * least of it is next (start-time fair queueing: Goyal, Vin and Cheng 1996; the shares are those of
 * deficit round robin, without its quantum). A tenant that comes back begins where the others are:
 * it neither owes nor is owed anything for the time it was away.
 */
export class TenantQueues<Request extends QueuedRequest> {
  readonly #tenants = new Map<string, TenantQueue<Request>>();
  #servedMs = 0;
  #items = 0;
  #requests = 0;

  get items(): number {
    return this.#items;
  }

  get requests(): number {
    return this.#requests;
  }

  /** Those that wait for something. */
  get tenants(): ReadonlyMap<string, TenantQueue<Request>> {
    return this.#tenants;
  }

  add(request: Request): void {
    let tenant = this.#tenants.get(request.tenant);
    if (tenant === undefined) {
      tenant = { waiting: [], workMs: 0, servedMs: this.#servedMs };
      this.#tenants.set(request.tenant, tenant);
    }
    const { waiting } = tenant;
    let at = waiting.length;
    while (at > 0 && (waiting[at - 1]?.rankMs ?? 0) > request.rankMs) at -= 1;
    if (at === waiting.length) waiting.push(request);
    else waiting.splice(at, 0, request);
    tenant.workMs += request.workMs;
    this.#items += request.items;
    this.#requests += 1;
    request.isTaken = false;
  }

  /** Takes out what waits of these. */
  remove(requests: readonly Request[]): void {
    const touched = new Set<string>();
    for (const request of requests) {
      const tenant = this.#tenants.get(request.tenant);
      if (tenant === undefined || request.isTaken) continue;
      request.isTaken = true;
      touched.add(request.tenant);
      tenant.workMs -= request.workMs;
      this.#items -= request.items;
      this.#requests -= 1;
    }
    for (const name of touched) this.#sweep(name);
  }

  /** Takes out a batch, and charges each tenant for what it gets. */
  serve(requests: readonly Request[]): void {
    for (const { tenant, workMs } of requests) {
      const queue = this.#tenants.get(tenant);
      if (queue === undefined) continue;
      this.#servedMs = Math.max(this.#servedMs, queue.servedMs);
      queue.servedMs += workMs;
    }
    this.remove(requests);
  }

  /** Work that is done before this request: its tenant's of lesser rank, and as much of others. */
  workAheadMs(request: QueuedRequest): number {
    const own = this.#tenants.get(request.tenant);
    let ownMs = own?.workMs ?? 0;
    for (let at = (own?.waiting.length ?? 0) - 1; at >= 0; at -= 1) {
      const each = own?.waiting[at];
      if (each === undefined || each.rankMs <= request.rankMs) break;
      ownMs -= each.workMs;
    }
    let aheadMs = ownMs;
    for (const [name, { workMs }] of this.#tenants) {
      if (name !== request.tenant) aheadMs += Math.min(workMs, ownMs + request.workMs);
    }
    return Math.max(0, aheadMs);
  }

  /** The last in line of the tenant with most work, where that is more than the newcomer's has. */
  displaceable(newcomer: QueuedRequest): Request | undefined {
    let mostMs = (this.#tenants.get(newcomer.tenant)?.workMs ?? 0) + newcomer.workMs;
    let last: Request | undefined;
    for (const { workMs, waiting } of this.#tenants.values()) {
      if (workMs <= mostMs) continue;
      mostMs = workMs;
      last = waiting.at(-1);
    }
    return last;
  }

  #sweep(name: string): void {
    const tenant = this.#tenants.get(name);
    if (tenant === undefined) return;
    tenant.waiting = tenant.waiting.filter(({ isTaken }) => !isTaken);
    if (tenant.waiting.length === 0) this.#tenants.delete(name);
  }
}
