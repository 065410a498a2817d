import { z } from "zod";

/** One request as `weir decide` and `/explain` read it: one JSON object. */
export const RequestFactsInput = z
  .strictObject({
    method: z.string().default("POST"),
    path: z.string().startsWith("/", { error: "path must start with /" }),
    host: z.string().default(""),
    headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).default({}),
    peer: z
      .strictObject({
        principal: z.string().optional().meta({ description: "SPIFFE id as mTLS proved it." }),
      })
      .default({}),
    unhealthy: z.array(z.string()).default([]).meta({
      description: "`<model>/<version>` of versions that fail their health check.",
    }),
  })
  .meta({ description: "Facts of one request." });
export type RequestFactsInput = z.infer<typeof RequestFactsInput>;
