// The npm clients against the embedded index: node.js elastic|opensearch URL.
"use strict";
const assert = require("node:assert");
const [which, node] = process.argv.slice(2);
const isElastic = which === "elastic";
const { Client } = require(isElastic ? "@elastic/elasticsearch" : "@opensearch-project/opensearch");
const index = `node-${which}`;

// OpenSearch's client wraps answers, and takes bodies apart from parameters.
const open = async (answer) => (isElastic ? answer : (await answer).body);
const take = (parameters, body) => (isElastic ? { ...parameters, ...body } : { ...parameters, body });
const fails = (ask, status) =>
  assert.rejects(ask, (error) => (error.statusCode ?? error.meta?.statusCode) === status);

async function main() {
  const client = new Client({ node, compression: which === "opensearch" ? "gzip" : true });
  assert.ok((await open(client.info())).version.number);
  const datasource = Array.from({ length: 1000 }, (_, n) => ({
    id: String(n), created: 1795435200000 + n * 1000, iotName: `s${n % 3}`, ANOMALY_SCORE: n / 100,
  }));
  const written = await client.helpers.bulk({
    datasource,
    flushBytes: 20000,
    onDocument: ({ id }) => ({ index: { _index: index, _id: id } }),
  });
  assert.deepEqual([written.successful, written.failed], [1000, 0]);
  const operations = [{ create: { _index: index, _id: "1" } }, { n: 1 }, { create: { _index: index } }, { n: 1 }];
  const bulk = await open(client.bulk(isElastic ? { operations, refresh: true } : { body: operations, refresh: true }));
  assert.equal(bulk.errors, true);
  assert.deepEqual(bulk.items.map((item) => item.create.status), [409, 201]);

  const query = { range: { ANOMALY_SCORE: { gte: 9 } } };
  const found = await open(client.search(take({ index }, { query, size: 3, sort: [{ ANOMALY_SCORE: "desc" }] })));
  assert.equal(found.hits.total.value, 100);
  assert.equal(found.hits.hits[0]._id, "999");
  assert.equal((await open(client.count(take({ index }, { query })))).count, 100);
  const aggs = { names: { terms: { field: "iotName" }, aggs: { top: { max: { field: "ANOMALY_SCORE" } } } } };
  const names = (await open(client.search(take({ index }, { size: 0, aggs })))).aggregations.names.buckets;
  assert.equal(names.length, 3);

  let seen = 0;
  for await (const page of client.helpers.scrollSearch(take({ index, scroll: "1m", size: 300 }, { query: { match_all: {} } }))) {
    seen += page.documents.length;
  }
  assert.equal(seen, 1001);
  assert.equal((await open(client.deleteByQuery(take({ index }, { query })))).deleted, 100);
  assert.equal((await open(client.delete({ index, id: "1" }))).result, "deleted");
  await fails(client.get({ index, id: "1" }), 404);
  await fails(client.search(take({ index }, { suggest: { a: {} } })), 400);
  assert.ok((await open(client.indices.getMapping({ index })))[index].mappings.properties.iotName);
  await client.indices.delete({ index });
  await client.close();
}
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
