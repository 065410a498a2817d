import type { FastifyInstance, FastifyRequest } from "fastify";
import type { ModelRepository } from "../../app/model-repository.js";
import { flag } from "../../core/serving/request-parameters.js";
import { parseJson } from "./json-document.js";
import { objectOf, parametersOf } from "./json-fields.js";
import type { JsonObject } from "./json-fields.js";
import { paramsOf } from "./metadata-routes.js";
import { serveOnly } from "./serve-only.js";

/** The model_repository extension. */
export function repositoryRoutes(app: FastifyInstance, repository: ModelRepository): void {
  serveOnly(app, ["GET", "POST"], "/v2/repository/index", (request) => {
    const { ready } = documentOf(request);
    return repository.index(
      flag(parametersOf(ready === undefined ? {} : { ready }, "body"), "ready"),
    );
  });
  serveOnly(app, ["POST"], "/v2/repository/models/:model/load", async (request) => {
    const { parameters } = documentOf(request);
    await repository.load(paramsOf(request).model, parametersOf(parameters, "parameters"));
    return {};
  });
  // Nothing depends on a model, so `unload_dependents` unloads nothing more.
  serveOnly(app, ["POST"], "/v2/repository/models/:model/unload", async (request) => {
    documentOf(request);
    await repository.unload(paramsOf(request).model);
    return {};
  });
}

/** The body may be left out. */
function documentOf({ body }: FastifyRequest): JsonObject {
  const bytes = (body as Buffer | undefined) ?? Buffer.alloc(0);
  return objectOf(bytes.length === 0 ? {} : parseJson(bytes), "the body");
}
