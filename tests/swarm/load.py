"""Asks a proxy again and again, as apps do, and says at its end how that went.

    load.py HOST PORT PATH THREADS

Each request has a connection of its own and looks the name up anew; like the clients of Docker, it tries the next address
if one does not accept. On SIGTERM the counts are printed as JSON.
"""

from __future__ import annotations

import http.client
import json
import signal
import sys
import threading
import time

PAUSE = 0.02
SECONDS = 20  # for one request
FAILURES_SHOWN = 5

end = threading.Event()


def ask(host: str, port: int, path: str) -> str:
    """'' or what went wrong."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return "" if response.status == 200 else f"{response.status} {body[:200]!r}"
    except (OSError, http.client.HTTPException) as error:
        return f"{time.strftime('%H:%M:%S')} {error!r}"
    finally:
        connection.close()


def work(host: str, port: int, path: str, counts: dict) -> None:
    while not end.is_set():
        wrong = ask(host, port, path)
        counts["failed" if wrong else "served"] += 1
        if wrong:
            counts["failures"].append(wrong)
        time.sleep(PAUSE)


def main() -> None:
    host, port, path, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    every = [{"served": 0, "failed": 0, "failures": []} for _ in range(threads)]
    workers = [threading.Thread(target=work, args=(host, port, path, counts)) for counts in every]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(json.dumps({
        "served": sum(counts["served"] for counts in every),
        "failed": sum(counts["failed"] for counts in every),
        "failures": [wrong for counts in every for wrong in counts["failures"]][:FAILURES_SHOWN],
    }))


main()
