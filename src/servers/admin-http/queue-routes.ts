import type { ServedModels } from "../../app/served-models.js";
import type { AdminRoute } from "./route.js";

/**
 * `/explain?model=M&version=V`: what the batcher of each version knows, and its last decisions with
 * their figures: why this batch, why this refusal. Without a version or a model: of all.
 */
export function queueRoutes(models: ServedModels): readonly AdminRoute[] {
  return [
    {
      method: "GET",
      path: "/explain",
      answer: ({ query }) => {
        const [model, version] = [query.get("model"), query.get("version")];
        const found = models.list(model ?? undefined, version ?? undefined);
        return { status: 200, body: { queues: found.map(({ queue }) => queue.explain()) } };
      },
    },
  ];
}
