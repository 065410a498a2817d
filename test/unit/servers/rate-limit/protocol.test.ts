import { describe, expect, test } from "vitest";
import {
  rateLimitRequestType,
  SHOULD_RATE_LIMIT_PATH,
} from "../../../../src/servers/rate-limit/protocol.js";
import {
  comparable,
  declaredIn,
  missingMessages,
  publishedDescriptors,
  publishedFields,
} from "../../../support/descriptors.js";

const published = publishedDescriptors("envoy-ratelimit");
const ours = declaredIn(
  "envoy/service/ratelimit/v3/rls.proto",
  "envoy.service.ratelimit.v3.RateLimitRequest",
);
const envoyOnly = (name: string) => name.startsWith("envoy.");

describe("our .proto files against Envoy's published descriptors", () => {
  test.each([...ours.messages.keys()].filter(envoyOnly))("%s has the published fields", (name) => {
    expect(comparable(ours.messages.get(name))).toEqual(
      comparable(publishedFields(published, name)),
    );
  });

  test("no published message of the service is missing", () => {
    expect(missingMessages(published, ours)).toEqual([]);
  });

  test.each([...ours.enums.keys()].filter((name) => published.enums[name] !== undefined))(
    "%s has the published values",
    (name) => {
      expect(ours.enums.get(name)).toEqual(published.enums[name]);
    },
  );

  test("the enums that a request and an answer hold are among them", () => {
    expect([...ours.enums.keys()].filter(envoyOnly)).toEqual(
      expect.arrayContaining([
        "envoy.type.v3.RateLimitUnit",
        "envoy.service.ratelimit.v3.RateLimitResponse.Code",
        "envoy.service.ratelimit.v3.RateLimitResponse.RateLimit.Unit",
      ]),
    );
  });

  test("the method has the published path and shape", () => {
    expect(published.methods).toMatchObject([
      { path: SHOULD_RATE_LIMIT_PATH, requestStream: false, responseStream: false },
    ]);
  });
});

test("hits of zero in a descriptor are told from none", () => {
  const bytes = rateLimitRequestType.serialize({
    descriptors: [{ hitsAddend: { value: 0 } }, {}],
  });
  const { descriptors } = rateLimitRequestType.deserialize(bytes);
  expect(descriptors?.map(({ hitsAddend }) => hitsAddend != null)).toEqual([true, false]);
});
