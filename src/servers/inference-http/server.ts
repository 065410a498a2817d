import type { Server } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fastify } from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { Infer } from "../../app/infer.js";
import type { ModelRepository } from "../../app/model-repository.js";
import type { ServedModels } from "../../app/served-models.js";
import type { Clock } from "../../app/ports.js";
import { ServiceError } from "../../core/error.js";
import { parseHostPort } from "../../core/host-port.js";
import type { ByteBudget, ByteLease } from "../../core/serving/byte-budget.js";
import type { LoadNow } from "../../app/metered-load.js";
import type { ServingStatistics } from "../../core/serving/statistics.js";
import { LOAD_FORMAT_HEADER, loadHeader } from "../load-headers.js";
import { answerClientError, answerError } from "./errors.js";
import { compress, replyEncoding } from "./compress-reply.js";
import { inferRoute } from "./infer-route.js";
import { metadataRoutes } from "./metadata-routes.js";
import { modelRoutes } from "./model-routes.js";
import { OpenRequests } from "./open-requests.js";
import { repositoryRoutes } from "./repository-routes.js";
import { readBody } from "./read-body.js";
import type { BodyLimits } from "./read-body.js";

export type InferenceHttpOptions = BodyLimits & {
  /** `HOST:PORT`; port 0 picks a free one. */
  readonly address: string;
  readonly models: ServedModels;
  readonly infer: Infer;
  readonly repository: ModelRepository;
  readonly statistics: ServingStatistics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly serverVersion: string;
  readonly loadNow: LoadNow;
  /** Bytes of bodies that the process may hold. */
  readonly budget: ByteBudget;
  /** For a request to arrive whole. */
  readonly requestTimeoutMs: number;
};

export type InferenceHttpServer = { readonly address: string; close(): Promise<void> };

/** The Open Inference Protocol over HTTP. */
export async function serveInferenceHttp(
  options: InferenceHttpOptions,
): Promise<InferenceHttpServer> {
  const { host, port } = parseHostPort("HTTP address", options.address);
  const app = inferenceHttpApp(options);
  const open = new OpenRequests(app.server);
  cutUntaken(app.server, options.requestTimeoutMs);
  try {
    const url = await app.listen({ host, port });
    return { address: url.replace(/^http:\/\//, ""), close: () => closeAnswered(app, open) };
  } catch (cause) {
    const because = cause instanceof Error ? cause.message : String(cause);
    const message = `cannot listen on HTTP address ${options.address}: ${because}`;
    throw new ServiceError("dependencyDown", message, { cause });
  }
}

/**
 * Ends connections when their answers are out. Node.js waits for those that never carried a
 * request, and the mesh opens such connections ahead of need.
 */
async function closeAnswered(app: FastifyInstance, open: OpenRequests): Promise<void> {
  const closing = app.close();
  while (app.server.listening) await nextTurn();
  await open.none();
  app.server.closeAllConnections();
  await closing;
}

/** Who takes nothing of an answer for so long is cut off. Node.js sets another time behind the answer. */
function cutUntaken(server: Server, patienceMs: number): void {
  server.on("request", (_request, response) => {
    response.once("prefinish", () => response.socket?.setTimeout(patienceMs));
  });
}

/** Apart from `serveInferenceHttp` so that tests can inject requests. */
export function inferenceHttpApp(options: Omit<InferenceHttpOptions, "address">): FastifyInstance {
  const { logger, requestTimeoutMs } = options;
  const app: FastifyInstance = fastify({
    requestTimeout: requestTimeoutMs,
    http: { headersTimeout: requestTimeoutMs, connectionsCheckingInterval: TIMEOUT_CHECK_MS },
    routerOptions: { maxParamLength: 256 },
    // A request that is already here when the listener closes is still served.
    return503OnClosing: false,
    frameworkErrors: (error, _request, reply) => {
      answerError(error, reply, logger);
    },
    clientErrorHandler: (error, socket) => {
      answerClientError(error, socket, requestTimeoutMs);
    },
  });
  app.setErrorHandler((error, _request, reply) => {
    answerError(error, reply, logger);
  });
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split("?", 1)[0]?.slice(0, 256) ?? "";
    const error = new ServiceError("notFound", `no route ${path}: this server speaks /v2 only`);
    answerError(error, reply, logger);
  });
  const taken = takeBodies(app, options);
  writeReplies(app, options);
  metadataRoutes(app, options);
  modelRoutes(app, options);
  repositoryRoutes(app, options.repository);
  inferRoute(app, { ...options, ...taken });
  return app;
}

/** Node.js looks at its timeouts so often. */
const TIMEOUT_CHECK_MS = 500;

/** Every body is taken as bytes: which form it has depends on the model. */
function takeBodies(app: FastifyInstance, options: Omit<InferenceHttpOptions, "address">) {
  const { budget, clock } = options;
  const arrivals = new WeakMap<FastifyRequest, number>();
  const leases = new WeakMap<FastifyRequest, ByteLease>();
  app.addHook("onRequest", (request, reply, done) => {
    arrivals.set(request, clock.monotonicMs());
    const lease = budget.open();
    leases.set(request, lease);
    reply.raw.once("close", () => {
      lease.release();
    });
    done();
  });
  app.removeAllContentTypeParsers();
  const heldBytes = (request: FastifyRequest) => leases.get(request) ?? budget.open();
  app.addContentTypeParser("*", (request: FastifyRequest) =>
    readBody(request.raw, options, heldBytes(request)),
  );
  const arrivedAtMs = (request: FastifyRequest) => arrivals.get(request) ?? clock.monotonicMs();
  return { arrivedAtMs, heldBytes };
}

function writeReplies(
  app: FastifyInstance,
  { models, loadNow }: Pick<InferenceHttpOptions, "models" | "loadNow">,
): void {
  app.addHook("onSend", (request, reply, payload, done) => {
    const load = loadHeader(request.headers[LOAD_FORMAT_HEADER]?.toString(), loadNow);
    if (load !== undefined) reply.header(load.name, headerText(load.value));
    // The client shall connect anew, and so to another pod.
    if (models.draining) reply.header("connection", "close");
    const encoding = replyEncoding(request.headers["accept-encoding"], payload);
    if (encoding === undefined) {
      done(null, payload);
      return;
    }
    reply.header("content-encoding", encoding).header("vary", "accept-encoding");
    compress(encoding, payload as string | Buffer, done);
  });
}

/** A header named -bin carries its bytes in base64, as in gRPC. */
const headerText = (value: string | Buffer) =>
  typeof value === "string" ? value : value.toString("base64");
