# The gateway in a container, as the user node, with a PostgreSQL outside of it. docs/install.md says how
# to run it; compose.yaml starts both.

FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
# Without optional packages: the embedded PostgreSQL, and esbuild, which JavaScript does not need.
RUN npm run build && npm prune --omit=dev --omit=optional --no-audit --no-fund

FROM node:22-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production
ENV GATEWAY_HOST=0.0.0.0
ENV DUMP_DIR=/var/lib/db-gateway/dumps
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# The code stays root's; the gateway writes dumps of dropped tenants alone.
RUN install -d -m 0700 -o node -g node /var/lib/db-gateway
USER node
EXPOSE 9000
# Over HTTP: with TLS_CERT_FILE give the container a check of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.GATEWAY_PORT || 9000}/ready`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# node itself is process 1 and gets SIGTERM, on which running requests finish.
STOPSIGNAL SIGTERM
CMD ["node", "dist/server.js"]
