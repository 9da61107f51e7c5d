# 22 or newer: nothing is compiled here, and the better-sqlite3 for Node 20 would have to be.
ARG NODE=24

FROM node:${NODE}-bookworm-slim AS build
WORKDIR /app
# The dependencies have their own layer, so that a change of the sources does not install them again.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY src src
COPY plugins plugins
COPY routes routes
# Half of what is left then is not used at run time: the sources of better-sqlite3, what is for browsers, types and source maps.
RUN npm run build \
  && npm prune --omit=dev --ignore-scripts \
  && rm -rf node_modules/better-sqlite3/deps node_modules/better-sqlite3/src node_modules/better-sqlite3-node20 \
    node_modules/core-js node_modules/irc-framework/dist \
  && find node_modules dist -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' \) -delete

FROM node:${NODE}-bookworm-slim
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="LurkBot Gateway" \
  org.opencontainers.image.description="The control plane between people and AI agents: durable, ordered, once at a time, whatever dies." \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production LURKBOT_HOME=/data
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist/src dist/src
COPY --from=build /app/dist/plugins dist/plugins
COPY --from=build /app/dist/routes dist/routes
COPY skills skills
COPY LICENSE ./
# Made before VOLUME: a new volume takes its owner and mode from the folder.
RUN install --directory --owner=node --group=node --mode=0700 /data
# `node`, by number: Kubernetes cannot tell of a name that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 18789
# Port, TLS and base path are set by their environment variables, so that this check knows them too. The certificate is
# the gateway's own and need not name 127.0.0.1.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["node", "-e", "\
  const { env } = process; \
  const secure = /^(true|1|yes)$/i.test(env.LURKBOT_GATEWAY__TLS_ENABLED); \
  const at = `127.0.0.1:${env.LURKBOT_GATEWAY__PORT || 18789}${env.LURKBOT_GATEWAY__BASE_PATH || ''}`; \
  if (secure) env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; \
  fetch(`http${secure ? 's' : ''}://${at}/health/live`) \
    .then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# The exec form: node itself is process 1 and gets the signals.
CMD ["node", "dist/src/cli/main.js", "gateway", "start", "--host", "0.0.0.0"]
