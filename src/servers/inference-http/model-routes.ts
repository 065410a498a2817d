import type { FastifyInstance } from "fastify";
import type { ServedModels, ServedVersion } from "../../app/served-models.js";
import { modelConfig } from "../../core/serving/model-config.js";
import type { ServingStatistics } from "../../core/serving/statistics.js";
import { modelPaths, paramsOf } from "./metadata-routes.js";
import { serveOnly } from "./serve-only.js";

type Options = { readonly models: ServedModels; readonly statistics: ServingStatistics };

/** The extensions model_configuration and statistics. */
export function modelRoutes(app: FastifyInstance, { models, statistics }: Options): void {
  for (const path of modelPaths("/config")) {
    serveOnly(app, ["GET"], path, (request) => {
      const { model, version } = paramsOf(request);
      return modelConfig(models.find(model, version).loaded);
    });
  }
  const statisticsOf = (served: readonly ServedVersion[]) => ({
    model_stats: served.map(({ spec: { name, version } }) =>
      statistics.of({ model: name, version }),
    ),
  });
  serveOnly(app, ["GET"], "/v2/models/stats", () => statisticsOf(models.list()));
  for (const path of modelPaths("/stats")) {
    serveOnly(app, ["GET"], path, (request) => {
      const { model, version } = paramsOf(request);
      return statisticsOf(models.list(model, version));
    });
  }
}
