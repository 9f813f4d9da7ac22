"""opensearch-py or elasticsearch-py against the embedded index: python.py opensearch|elasticsearch URL."""

import sys

which, url = sys.argv[1:]
if which == "opensearch":
    from opensearchpy import OpenSearch as Client, helpers
    from opensearchpy.exceptions import ConflictError, NotFoundError, RequestError as BadRequest
else:
    from elasticsearch import BadRequestError as BadRequest
    from elasticsearch import ConflictError, Elasticsearch as Client, NotFoundError, helpers

INDEX = f"python-{which}-{sys.version_info.minor}-{id(sys)}"


def raises(kind, ask):
    try:
        ask()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


def search(client, **body):
    return client.search(index=INDEX, body=body) if which == "opensearch" else client.search(index=INDEX, **body)


def body(**fields):
    return {"body": fields} if which == "opensearch" else fields


with Client(url) as client:
    assert client.ping() and client.info()["tagline"]
    assert client.cluster.health()["status"] == "green"
    client.indices.create(index=INDEX)
    assert client.indices.exists(index=INDEX) and not client.indices.exists(index="nobody")

    # helpers.bulk, with ids and without, in several requests; errors item by item.
    rows = [
        {"_index": INDEX, "_id": str(n), "created": 1795435200000 + n * 1000, "iotName": f"s{n % 3}", "ANOMALY_SCORE": n / 100}
        for n in range(1200)
    ]
    assert helpers.bulk(client, rows, chunk_size=500, refresh=True) == (1200, [])
    n_good, errors = helpers.bulk(
        client, [{"_op_type": "create", "_index": INDEX, "_id": "1", "n": 1}, {"_op_type": "create", "_index": INDEX, "n": 1}], raise_on_error=False
    )
    assert n_good == 1 and errors[0]["create"]["status"] == 409, errors
    assert all(ok for ok, _ in helpers.parallel_bulk(client, ({"_index": INDEX, "n": n} for n in range(99)), chunk_size=10))
    assert client.count(index=INDEX)["count"] == 1300

    # Search, count, sort with search_after, aggregations.
    query = {"range": {"ANOMALY_SCORE": {"gte": 11}}}
    found = search(client, query=query, sort=[{"ANOMALY_SCORE": "desc"}], size=5)
    assert found["hits"]["total"]["value"] == 100 and found["hits"]["hits"][0]["_id"] == "1199"
    after = search(client, query=query, sort=[{"ANOMALY_SCORE": "desc"}], size=5, search_after=found["hits"]["hits"][-1]["sort"])
    assert after["hits"]["hits"][0]["_id"] == "1194"
    aggs = {"minutes": {"date_histogram": {"field": "created", "fixed_interval": "1m"}, "aggs": {"top": {"max": {"field": "ANOMALY_SCORE"}}}}}
    buckets = search(client, size=0, aggs=aggs)["aggregations"]["minutes"]["buckets"]
    assert len(buckets) == 20 and buckets[19]["top"]["value"] == 11.99
    assert client.count(index=INDEX, **body(query={"term": {"iotName": "s1"}}))["count"] == 400
    answers = client.msearch(**({"body": [{"index": INDEX}, {"size": 0}]} if which == "opensearch" else {"searches": [{"index": INDEX}, {"size": 0}]}))
    assert answers["responses"][0]["hits"]["total"]["value"] == 1300

    # Scrolls: the helper, and by hand.
    seen = {hit["_id"] for hit in helpers.scan(client, index=INDEX, query={"query": {"exists": {"field": "iotName"}}}, size=250)}
    assert len(seen) == 1200
    page = client.search(index=INDEX, scroll="1m", size=700)
    n_seen, scroll_id = len(page["hits"]["hits"]), page["_scroll_id"]
    page = client.scroll(**body(scroll_id=scroll_id, scroll="1m"))
    n_seen += len(page["hits"]["hits"])
    assert n_seen == 1300
    client.clear_scroll(**body(scroll_id=scroll_id))
    raises(NotFoundError, lambda: client.scroll(**body(scroll_id=scroll_id)))

    # Documents one by one.
    document = {"iotName": "one"}
    put = {"body": document} if which == "opensearch" else {"document": document}
    assert client.index(index=INDEX, id="a/b", refresh=True, **put)["result"] == "created"
    assert client.get(index=INDEX, id="a/b")["_source"] == document
    assert client.update(index=INDEX, id="a/b", **body(doc={"n": 2}))["result"] == "updated"
    raises(ConflictError, lambda: client.create(index=INDEX, id="a/b", **put))
    assert client.exists(index=INDEX, id="a/b")
    assert client.mget(index=INDEX, **body(ids=["a/b", "nobody"]))["docs"][1]["found"] is False
    assert client.delete(index=INDEX, id="a/b")["result"] == "deleted"
    raises(NotFoundError, lambda: client.delete(index=INDEX, id="a/b"))
    deleted = client.delete_by_query(index=INDEX, **body(query={"exists": {"field": "n"}}))
    assert deleted["deleted"] == 100, deleted

    # What there is, and what is not supported.
    assert "iotName" in client.indices.get_mapping(index=INDEX)[INDEX]["mappings"]["properties"]
    assert "created" in client.field_caps(index=INDEX, fields="*")["fields"]
    assert client.indices.get_settings(index=INDEX)[INDEX] and INDEX in client.indices.get_alias(index=INDEX)
    assert "highlight" in raises(BadRequest, lambda: search(client, highlight={"fields": {"a": {}}}))
    assert "fuzzy" in raises(BadRequest, lambda: search(client, query={"fuzzy": {"a": "b"}}))
    client.indices.refresh(index=INDEX)
    assert client.indices.delete(index=INDEX)["acknowledged"]
    raises(NotFoundError, lambda: client.search(index=INDEX))
