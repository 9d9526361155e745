#!/usr/bin/python3
"""Asks the proxy without a pause until its standard input ends, then prints what it got, as JSON.

    load.py PORT

Two threads connect anew for each request, two keep their connection for as long as they may, one asks for a response
that takes long, and one for events, which go on until then. A failure is everything but a whole response.
"""

import collections
import http.client
import json
import sys
import threading

PORT = int(sys.argv[1])
answers: collections.Counter = collections.Counter()
failures: list = []
over = threading.Event()


def ask(connection: http.client.HTTPConnection, path: str = "/version") -> None:
    connection.request("GET", path)
    response = connection.getresponse()
    json.loads(response.read())
    answers[str(response.status)] += 1


def anew() -> None:
    while not over.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        ask(connection)
        connection.close()


def kept() -> None:
    # A response with "Connection: close" makes http.client connect again for the next request.
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    while not over.is_set():
        ask(connection)


def slow() -> None:
    ask(http.client.HTTPConnection("127.0.0.1", PORT, timeout=60), "/info?slow")
    answers["slow"] += 1


def events() -> None:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("GET", "/events")
    event: dict = {}
    for number, line in enumerate(connection.getresponse()):
        event = json.loads(line)
        assert event.get("number") == number, f"event {number} is {event}"
    assert event.get("last"), f"cut behind {event}"
    answers["events"] += 1


def guarded(work) -> None:
    try:
        work()
    except Exception as error:  # whatever it is, a client has seen it
        failures.append(f"{work.__name__}: {error!r}")


threads = [threading.Thread(target=guarded, args=(work,)) for work in (anew, anew, kept, kept, slow, events)]
for thread in threads:
    thread.start()
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
print(json.dumps({"answers": answers, "failures": failures}))
