import { z } from "zod";
import { shown } from "./shape-issues.js";

/** One request as `weir decide` and `/explain` read it: one JSON object. */
export const RequestFactsInput = z
  .strictObject({
    method: z.string().default("POST"),
    path: z.string().startsWith("/", {
      error: ({ input }) => `${shown(input)} must start with /: write the path with its query`,
    }),
    host: z.string().default(""),
    headers: z
      .record(
        z.string(),
        z.union([z.string(), z.array(z.string())], {
          error: ({ input }) => `must be a string or a list of strings, not ${shown(input)}`,
        }),
      )
      .default({}),
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
