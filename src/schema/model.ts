import { z } from "zod";
import { shown } from "./shape-issues.js";
import { Address, Duration, Host, Name, VersionName } from "./values.js";

const RETRY_ON = [
  "connect-failure",
  "refused-stream",
  "reset",
  "reset-before-request",
  "unavailable",
  "cancelled",
  "deadline-exceeded",
  "resource-exhausted",
  "gateway-error",
  "5xx",
] as const;

export const Retries = z
  .strictObject({
    attempts: z
      .int()
      .min(0)
      .max(10)
      .default(2)
      .meta({ description: "Retries after the first try; 0: none." }),
    perTryTimeout: Duration.optional(),
    on: z
      .array(
        z
          .string()
          .refine((on) => (RETRY_ON as readonly string[]).includes(on) || /^5\d\d$/.test(on), {
            error: ({ input }) =>
              `retry condition ${shown(input)} is not one of ${RETRY_ON.join(", ")} or a 5xx status code in quotes`,
          }),
      )
      .default(["connect-failure", "refused-stream", "reset-before-request", "unavailable", "503"])
      .meta({
        description: "Envoy retry_on names, or 5xx status codes. A limit (429) is never retried.",
      }),
  })
  .prefault({})
  .meta({ description: "How the mesh retries a try that failed, on another endpoint if it can." });

export const HealthCheck = z
  .strictObject({
    path: z
      .string()
      .startsWith("/")
      .default("/v2/health/ready")
      .meta({ description: "HTTP path; 200 is healthy." }),
    interval: Duration.prefault("1s"),
    timeout: Duration.prefault("500ms"),
    unhealthyThreshold: z
      .int()
      .min(1)
      .max(100)
      .default(2)
      .meta({ description: "Failed checks in a row that make a version unhealthy." }),
    healthyThreshold: z
      .int()
      .min(1)
      .max(100)
      .default(1)
      .meta({ description: "Passed checks in a row that make it healthy again." }),
  })
  .meta({
    description:
      "Active check of each version by extproc: HTTP 200 is healthy. Without it every version counts as healthy.",
  });
export type HealthCheck = z.infer<typeof HealthCheck>;

export const ModelVersion = z
  .strictObject({
    name: VersionName,
    address: Address,
    region: Name.optional().meta({
      description: "Where its pods run; residency rules compare it.",
    }),
  })
  .meta({ description: "One version of the model and where its pods are." });
export type ModelVersion = z.infer<typeof ModelVersion>;

export const Model = z
  .strictObject({
    name: Name,
    match: z
      .strictObject({
        hosts: z.array(Host).min(1).default(["*"]),
        pathPrefix: z
          .string()
          .regex(/^\/[^?#\s]*$/, {
            error: ({ input }) =>
              `pathPrefix ${shown(input)} must start with "/" and hold no "?", "#" or space`,
          })
          .meta({
            description:
              "Whole path segments: /v2/models/a matches /v2/models/a/infer, not /v2/models/ab.",
          }),
      })
      .meta({ description: "Which requests are for this model; the longest prefix wins." }),
    versions: z.array(ModelVersion).min(1),
    default: VersionName.meta({ description: "Version served when no experiment applies." }),
    fallback: VersionName.optional().meta({
      description: "Version served when the chosen one is unhealthy; default: `default`.",
    }),
    timeout: Duration.prefault("15s").meta({ description: "Whole request, retries included." }),
    retries: Retries,
    health: HealthCheck.optional(),
  })
  .meta({ description: "A model, its versions and how the mesh reaches them." });
export type Model = z.infer<typeof Model>;
