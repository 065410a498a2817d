import { setLogger } from "@grpc/grpc-js";
import type { Logger } from "pino";

/** grpc-js writes plain lines to stderr, where ours are JSON; what fails it also throws. */
export function keepGrpcLinesAsJson(logger: Logger): void {
  const line = (message: string) => {
    logger.debug({ grpc: message }, "grpc-js says");
  };
  setLogger({ error: line, info: line, debug: line });
}
