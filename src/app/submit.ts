import type { BatchAnswer, BatchRequest } from "./batch-runner.js";

/** Runs one request; rejects with a `ServiceError`. */
export type Submit = (request: BatchRequest) => Promise<BatchAnswer>;
