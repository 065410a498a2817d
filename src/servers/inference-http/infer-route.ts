import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Infer } from "../../app/infer.js";
import type { CallFacts } from "../../app/prediction-event.js";
import type { Clock } from "../../app/ports.js";
import { ServiceError } from "../../core/error.js";
import { HEADER } from "../../schema/headers.js";
import { parseInferBody } from "./infer-request.js";
import type { ReplyForm } from "./infer-request.js";
import { writeInferReply } from "./infer-reply.js";
import { modelPaths, paramsOf } from "./metadata-routes.js";
import { serveOnly } from "./serve-only.js";

type Options = { readonly infer: Infer; readonly clock: Clock };

/** POST …/infer. */
export function inferRoute(app: FastifyInstance, { infer, clock }: Options): void {
  const arrivals = new WeakMap<FastifyRequest, number>();
  app.addHook("onRequest", (request, _reply, done) => {
    arrivals.set(request, clock.monotonicMs());
    done();
  });
  const handler = async (request: FastifyRequest, reply: FastifyReply) => {
    const receivedAtMs = arrivals.get(request) ?? clock.monotonicMs();
    let form: ReplyForm = { id: undefined, isBinary: () => false };
    const answer = await infer({
      ...factsOf(request, receivedAtMs),
      signal: closedSignal(reply),
      read: (spec) => {
        const parsed = parseInferBody(spec, bodyOf(request));
        form = parsed.form;
        return parsed.request;
      },
      write: (spec, outputs) => writeInferReply(spec, outputs, form),
    });
    return reply.headers(answer.headers).send(answer.body);
  };
  for (const path of modelPaths("/infer")) serveOnly(app, "POST", path, handler);
}

function bodyOf(request: FastifyRequest) {
  const encoding = headerOf(request, "content-encoding") ?? "identity";
  if (encoding !== "identity") {
    const message = `content-encoding ${encoding.slice(0, 64)} is not supported: send the body as it is`;
    throw new ServiceError("unsupported", message);
  }
  return {
    bytes: (request.body as Buffer | undefined) ?? Buffer.alloc(0),
    contentType: headerOf(request, "content-type"),
    jsonBytes: headerOf(request, "inference-header-content-length"),
  };
}

function factsOf(request: FastifyRequest, receivedAtMs: number): CallFacts {
  return {
    ...paramsOf(request),
    receivedAtMs,
    meshTimeoutMs: countOf(headerOf(request, HEADER.expectedTimeoutMs)),
    attempt: countOf(headerOf(request, HEADER.attemptCount)) ?? 1,
    shadow: headerOf(request, HEADER.shadow) === "1",
    decision: headerOf(request, HEADER.decision) ?? null,
    policy: headerOf(request, HEADER.policy) ?? null,
    arms: headerOf(request, HEADER.arms) ?? null,
    requestId: headerOf(request, HEADER.requestId) ?? null,
  };
}

/** Envoy writes these; a value that is no count of its kind is as good as absent. */
function countOf(value: string | undefined): number | undefined {
  return value !== undefined && /^[1-9]\d{0,14}$/.test(value) ? Number(value) : undefined;
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** Aborts when the client closes the connection before it has its answer. */
function closedSignal(reply: FastifyReply): AbortSignal {
  const closed = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) closed.abort();
  });
  return closed.signal;
}
