import type { FastifyInstance, RouteHandlerMethod } from "fastify";
import { ServiceError } from "../../core/error.js";

const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"] as const;

/** Serves these methods of a path (GET brings HEAD along); the others get 405 and not 404. */
export function serveOnly(
  app: FastifyInstance,
  methods: readonly ("GET" | "POST")[],
  url: string,
  handler: RouteHandlerMethod,
): void {
  const allowed: readonly string[] = methods.flatMap((method) =>
    method === "GET" ? ["GET", "HEAD"] : [method],
  );
  const allow = allowed.join(", ");
  app.route({ method: [...methods], url, handler });
  app.route({
    method: METHODS.filter((each) => !allowed.includes(each)),
    url,
    handler: (request, reply) => {
      reply.header("allow", allow);
      throw new ServiceError("methodNotAllowed", `this path takes ${allow}, not ${request.method}`);
    },
  });
}
