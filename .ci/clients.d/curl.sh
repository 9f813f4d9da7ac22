#!/usr/bin/env bash
# curl, as the README has it. $1 is the endpoint.
set -euo pipefail
url="$1"
ask() { curl -fsS -H 'content-type: application/json' "$@"; }

printf '%s\n' '{"index":{"_id":"1"}}' '{"created":"2026-11-23T12:00:00Z","iotName":"a","ANOMALY_SCORE":3.5}' \
  '{"index":{"_id":"2"}}' '{"created":"2026-11-23T12:00:01Z","iotName":"b","ANOMALY_SCORE":0.5}' |
  curl -fsS -H 'content-type: application/x-ndjson' --data-binary @- "$url/anomalies/_bulk" | grep -q '"errors":false'
curl -fsS "$url/anomalies/_search?sort=ANOMALY_SCORE:desc&size=1" | grep -q '"_id":"1"'
curl -fsS "$url/anomalies/_search?q=iotName:b" | grep -q '"value":1'
ask "$url/anomalies/_count" -d '{"query":{"range":{"ANOMALY_SCORE":{"gte":1}}}}' | grep -q '"count":1'
# Not supported: a 400 that names it.
[ "$(curl -sS -o /dev/null -w '%{http_code}' "$url/anomalies/_search?routing=x")" = 400 ]
curl -sS -H 'content-type: application/json' "$url/anomalies/_search" -d '{"highlight":{}}' | grep -q highlight
curl -fsSI "$url/" | grep -qi '^x-elastic-product: Elasticsearch'
curl -fsS -X DELETE "$url/anomalies-2026.11.23" | grep -q '"acknowledged":true'
