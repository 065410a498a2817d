import type { ModelRepository } from "../../app/model-repository.js";
import type { ServedModels } from "../../app/served-models.js";
import { ServiceError } from "../../core/error.js";
import { modelMetadata, serverMetadata } from "../../core/serving/metadata.js";
import { modelConfig } from "../../core/serving/model-config.js";
import type { Parameters, ParameterValue } from "../../core/serving/request-parameters.js";
import type { ServingStatistics } from "../../core/serving/statistics.js";
import type { ModelReadyRequest__Output as NamedVersion } from "../../gen/inference/ModelReadyRequest.js";
import type { RepositoryModelLoadRequest__Output as LoadRequest } from "../../gen/inference/RepositoryModelLoadRequest.js";
import type { AcceptTimed } from "../grpc/http2/service.js";
import { unary } from "./unary.js";
import type { CallParts } from "./unary.js";

export type ModelMethodParts = CallParts & {
  readonly models: ServedModels;
  readonly repository: ModelRepository;
  readonly statistics: ServingStatistics;
  readonly serverVersion: string;
};

type Methods = Readonly<Record<string, AcceptTimed>>;

/** Health and metadata, and the extensions model_configuration and statistics. */
export function modelMethods(parts: ModelMethodParts): Methods {
  const { models, statistics, serverVersion } = parts;
  const find = (of: NamedVersion) => models.find(...named(of));
  return {
    ServerLive: unary(parts, "ServerLive", () => ({ live: true })),
    ServerReady: unary(parts, "ServerReady", () => ({ ready: models.ready().ready })),
    ModelReady: unary(parts, "ModelReady", (of) => ({
      ready: models.isReady(...named(of)),
    })),
    ServerMetadata: unary(parts, "ServerMetadata", () => serverMetadata(serverVersion)),
    ModelMetadata: unary(parts, "ModelMetadata", (of) =>
      modelMetadata(find(of).spec, models.versionsOf(named(of)[0])),
    ),
    ModelConfig: unary(parts, "ModelConfig", (of) => ({
      config: modelConfig(find(of).loaded),
    })),
    ModelStatistics: unary(parts, "ModelStatistics", (of) => {
      const [model, version] = named(of);
      const served = model === "" ? models.list() : models.list(model, version);
      const model_stats = served.map(({ spec }) =>
        statistics.of({ model: spec.name, version: spec.version }),
      );
      return { model_stats };
    }),
  };
}

/** The extension model_repository. */
export function repositoryMethods(parts: ModelMethodParts): Methods {
  const { repository } = parts;
  return {
    RepositoryIndex: unary(parts, "RepositoryIndex", async (request) => {
      refuseRepositoryName(request.repository_name);
      return { models: await repository.index(request.ready ?? false) };
    }),
    RepositoryModelLoad: unary(parts, "RepositoryModelLoad", async (request) => {
      refuseRepositoryName(request.repository_name);
      await repository.load(request.model_name ?? "", parametersOf(request));
      return {};
    }),
    // Nothing depends on a model, so `unload_dependents` unloads nothing more.
    RepositoryModelUnload: unary(parts, "RepositoryModelUnload", async (request) => {
      refuseRepositoryName(request.repository_name);
      await repository.unload(request.model_name ?? "");
      return {};
    }),
  };
}

/** No version, as no field, is the empty one. */
const named = ({ name = "", version = "" }: NamedVersion): [string, string | undefined] => [
  name,
  version === "" ? undefined : version,
];

function refuseRepositoryName(name = ""): void {
  if (name === "") return;
  const message = `there is one repository here, and it has no name: leave out repository_name ${JSON.stringify(name.slice(0, 128))}`;
  throw new ServiceError("unsupported", message);
}

function parametersOf({ parameters = {} }: LoadRequest): Parameters {
  return new Map(
    Object.entries(parameters).map(([key, { parameter_choice: choice, ...values }]) => {
      const value = choice === undefined ? undefined : values[choice];
      const known: ParameterValue = Buffer.isBuffer(value) ? value.length : (value ?? "");
      return [key, known];
    }),
  );
}
