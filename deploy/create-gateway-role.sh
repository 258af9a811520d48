#!/usr/bin/env bash
# Creates the gateway's role, which is no superuser, and its database. The image of PostgreSQL runs it
# once, on an empty cluster (compose.yaml).
set -euo pipefail

psql --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
  --set=password="$GATEWAY_DB_PASSWORD" <<'SQL'
create role gateway_user login createdb createrole password :'password';
create database db_gateway owner gateway_user;
SQL
