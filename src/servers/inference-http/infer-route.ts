import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { meshFactsOf, meshTimeoutMsOf } from "../../app/call-facts.js";
import type { Infer } from "../../app/infer.js";
import type { ByteLease } from "../../core/serving/byte-budget.js";
import { Caller } from "../caller.js";
import { parseInferBody } from "./infer-request.js";
import type { ReplyForm } from "./infer-request.js";
import { writeInferReply } from "./infer-reply.js";
import { modelPaths, paramsOf } from "./metadata-routes.js";
import { serveOnly } from "./serve-only.js";

type Options = {
  readonly infer: Infer;
  readonly maxJsonBytes: number;
  /** Monotonic, when the request began. */
  readonly arrivedAtMs: (request: FastifyRequest) => number;
  /** Until its answer is out. */
  readonly heldBytes: (request: FastifyRequest) => ByteLease;
};

/** POST …/infer. */
export function inferRoute(app: FastifyInstance, options: Options): void {
  const handler = async (request: FastifyRequest, reply: FastifyReply) => {
    const { model, version } = paramsOf(request);
    const header = (name: string) => headerOf(request, name);
    let form: ReplyForm = { id: undefined, isBinary: () => false };
    const answer = await options.infer({
      model,
      version,
      mesh: meshFactsOf(header),
      timeoutMs: meshTimeoutMsOf(header),
      receivedAtMs: options.arrivedAtMs(request),
      signal: callerOf(reply),
      read: (spec) => {
        const parsed = parseInferBody(spec, {
          bytes: (request.body as Buffer | undefined) ?? Buffer.alloc(0),
          contentType: header("content-type"),
          jsonBytes: header("inference-header-content-length"),
          maxJsonBytes: options.maxJsonBytes,
        });
        form = parsed.form;
        return parsed.request;
      },
      write: (spec, outputs) => writeInferReply(spec, outputs, form),
    });
    options.heldBytes(request).take(Buffer.byteLength(answer.body));
    return reply.headers(answer.headers).send(answer.body);
  };
  for (const path of modelPaths("/infer")) serveOnly(app, ["POST"], path, handler);
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** Leaves when the client closes the connection before it has its answer. */
function callerOf(reply: FastifyReply): Caller {
  const caller = new Caller();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) caller.leave();
  });
  return caller;
}
