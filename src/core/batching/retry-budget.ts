/** As of Envoy's retry_budget: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/circuit_breaker.proto */
const RETRY_SHARE = 0.2;
const ALWAYS_ADMITTED = 3;

/** Bounds the share of requests under way that are retries, so that retries cannot double a load. */
export class RetryBudget {
  #requests = 0;
  #retries = 0;

  admits(): boolean {
    return this.#retries < Math.max(ALWAYS_ADMITTED, RETRY_SHARE * this.#requests);
  }

  get retries(): number {
    return this.#retries;
  }

  began(isRetry: boolean): void {
    this.#requests += 1;
    if (isRetry) this.#retries += 1;
  }

  ended(isRetry: boolean): void {
    this.#requests -= 1;
    if (isRetry) this.#retries -= 1;
  }
}
