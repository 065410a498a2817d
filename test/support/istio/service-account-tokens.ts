import { createSign, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";

const ISSUER = "https://cluster.test";
const AUDIENCE = "istio-ca";

export type TokenIssuer = {
  /** istiod's JWT_RULE: whose tokens it takes instead of asking Kubernetes for a review. */
  readonly jwtRule: string;
  /** A token as a projected volume of a pod holds it. */
  readonly mint: (namespace: string, serviceAccount: string) => string;
  readonly close: () => Promise<void>;
};

/** Stands for the token issuer of a cluster. */
export async function startTokenIssuer(): Promise<TokenIssuer> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const header = { alg: "RS256", kid: "test", typ: "JWT" };
  const key = { ...publicKey.export({ format: "jwk" }), kid: "test", alg: "RS256", use: "sig" };
  const server = createServer((_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ keys: [key] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the issuer has no port");
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return {
    jwtRule: JSON.stringify({
      issuer: ISSUER,
      jwksUri: `http://127.0.0.1:${address.port}/jwks`,
      audiences: [AUDIENCE],
    }),
    mint: (namespace, serviceAccount) => {
      const issuedAt = Math.floor(Date.now() / 1000);
      const claims = {
        ...{ iss: ISSUER, aud: [AUDIENCE], iat: issuedAt, nbf: issuedAt, exp: issuedAt + 3600 },
        sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
        "kubernetes.io": { namespace, serviceaccount: { name: serviceAccount } },
      };
      const signed = `${part(header)}.${part(claims)}`;
      const signature = createSign("RSA-SHA256").update(signed).sign(privateKey);
      return `${signed}.${signature.toString("base64url")}`;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
