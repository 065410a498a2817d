# One image with both programs: `weir extproc` and `weir serve`.
#   docker build -t weir .
#   docker run weir extproc -p /policy/policy.yaml

FROM node:24-bookworm-slim AS build
WORKDIR /weir
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.base.json ./
COPY proto proto
COPY src src
# The test project of the solution is not built into the image.
RUN npm run generate && npx tsc -b src

FROM node:24-bookworm-slim AS packages
ARG TARGETARCH=amd64
WORKDIR /weir
COPY package.json package-lock.json .npmrc ./
# onnxruntime-node brings the binaries of every platform: over 200 MB that never run here.
RUN npm ci --omit=dev \
 && cd node_modules/onnxruntime-node/bin/napi-v6 \
 && rm -rf darwin win32 \
 && case "$TARGETARCH" in arm64) rm -rf linux/x64 ;; *) rm -rf linux/arm64 ;; esac

# Unverified: see docs/gpu.md. docker build --target cuda
FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 AS cuda
# The CUDA provider of the very ONNX Runtime that the npm package holds; it is looked for beside it.
ARG ONNXRUNTIME_VERSION=1.30.0
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-pip unzip \
 && pip download --no-deps --dest /tmp/wheel "onnxruntime-gpu==$ONNXRUNTIME_VERSION" \
 && unzip -j /tmp/wheel/*.whl "*/libonnxruntime_providers_shared.so" "*/libonnxruntime_providers_cuda.so" -d /providers \
 && rm -rf /tmp/wheel /var/lib/apt/lists/*
COPY --from=packages /usr/local/bin/node /usr/local/bin/node
WORKDIR /weir
ENV NODE_ENV=production \
    WEIR_EXECUTION_PROVIDERS=cuda,cpu \
    WEIR_HTTP_ADDRESS=0.0.0.0:8080 \
    WEIR_INFERENCE_GRPC_ADDRESS=0.0.0.0:8081 \
    WEIR_ADMIN_ADDRESS=0.0.0.0:8102
COPY --from=packages /weir/node_modules node_modules
RUN mv /providers/* node_modules/onnxruntime-node/bin/napi-v6/linux/x64/
COPY --from=build /weir/dist dist
COPY package.json LICENSE ./
COPY proto proto
USER 1000:1000
EXPOSE 8080 8081 8102
ENTRYPOINT ["node", "dist/processes/cli.js"]
CMD ["serve", "--help"]

FROM node:24-bookworm-slim
WORKDIR /weir
ENV NODE_ENV=production \
    WEIR_GRPC_ADDRESS=0.0.0.0:9002 \
    WEIR_HTTP_ADDRESS=0.0.0.0:8080 \
    WEIR_INFERENCE_GRPC_ADDRESS=0.0.0.0:8081 \
    WEIR_ADMIN_ADDRESS=0.0.0.0:9102
COPY --from=packages /weir/node_modules node_modules
COPY --from=build /weir/dist dist
COPY package.json LICENSE ./
# Loaded when either program starts.
COPY proto proto
# The manifest and the pipeline of the demo's model; weights come from elsewhere.
COPY models models
# Numeric, so that Kubernetes can verify runAsNonRoot.
USER 1000:1000
# ext_proc, OIP over HTTP and gRPC, admin
EXPOSE 9002 8080 8081 9102
# node is process 1: it gets SIGTERM itself, and drains.
ENTRYPOINT ["node", "dist/processes/cli.js"]
CMD ["--help"]
