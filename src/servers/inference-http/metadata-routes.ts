import type { FastifyInstance, FastifyRequest } from "fastify";
import type { ServedModels } from "../../app/served-models.js";
import { modelMetadata, serverMetadata } from "../../core/serving/metadata.js";
import { serveOnly } from "./serve-only.js";

type Options = { readonly models: ServedModels; readonly serverVersion: string };

export type ModelParams = { readonly model: string; readonly version?: string };

/** A model's routes exist with and without a version. */
export const modelPaths = (suffix: string): readonly string[] => [
  `/v2/models/:model${suffix}`,
  `/v2/models/:model/versions/:version${suffix}`,
];

/** Health and metadata. Bodies of health answers matter: KServe's client reads them. */
export function metadataRoutes(app: FastifyInstance, { models, serverVersion }: Options): void {
  for (const path of ["/v2", "/v2/"]) {
    serveOnly(app, ["GET"], path, () => serverMetadata(serverVersion));
  }
  serveOnly(app, ["GET"], "/v2/health/live", () => ({ live: true }));
  serveOnly(app, ["GET"], "/v2/health/ready", (_request, reply) => {
    const { ready } = models.ready();
    return reply.code(ready ? 200 : 503).send({ ready });
  });
  for (const path of modelPaths("/ready")) {
    serveOnly(app, ["GET"], path, (request, reply) => {
      const { model, version } = paramsOf(request);
      const ready = models.isReady(model, version);
      return reply.code(ready ? 200 : 503).send({ name: model, ready });
    });
  }
  for (const path of modelPaths("")) {
    serveOnly(app, ["GET"], path, (request) => {
      const { model, version } = paramsOf(request);
      const { spec } = models.find(model, version);
      return modelMetadata(spec, models.versionsOf(model));
    });
  }
}

/** Fastify's types know nothing of a path that is no literal. */
export const paramsOf = (request: FastifyRequest) => request.params as ModelParams;
