import { z } from "zod";
import { Address, BasisPoints, Cel, Name, VersionName } from "./values.js";

export const Shadow = z
  .strictObject({
    name: Name,
    model: Name,
    version: VersionName,
    address: Address.optional().meta({
      description: "Pods that serve only copies; default: the version's own pods.",
    }),
    region: Name.optional().meta({
      description: "Where those pods run; default: the version's region.",
    }),
    unit: z.string().meta({ description: "Whose requests are copied, all or none of a unit's." }),
    share: BasisPoints,
    seed: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .meta({ description: "Salt of the draw; default: the name." }),
    when: Cel.optional(),
  })
  .meta({
    description:
      "Copies of requests to another version; answers are dropped. The first that applies wins.",
  });
export type Shadow = z.infer<typeof Shadow>;
