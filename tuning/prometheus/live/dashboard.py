"""Every query of the dashboard, asked of a Prometheus that has scraped everything there is."""

import json
import re

from processes import Failed
from prometheus import HERE

# What Grafana puts in the place of its variables: all jobs and servers, and a window of a few
# scrapes.
CHOSEN = {"$__rate_interval": "20s", "$job": ".+", "$instance": ".+"}
# What has no values where nothing is wrong at that moment.
MAY_BE_EMPTY = {"Starts"}


def chosen(query):
    for variable, value in CHOSEN.items():
        query = query.replace(variable, value)
    return query


def queries(board):
    """What is asked, as title and query."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], chosen(target["expr"])
    for note in board["annotations"]["list"]:
        yield note["name"], chosen(note["expr"])


def check(prometheus):
    """Asks all of them; how many there were."""
    board = json.loads((HERE.parent / "grafana" / "sutra.json").read_text())
    count = 0
    for title, query in queries(board):
        if not prometheus.values(query) and title not in MAY_BE_EMPTY:
            raise Failed(f"the panel {title!r} has no values: {query}")
        count += 1
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            words = chosen(variable["query"]["query"])
            series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", words).groups()
            if not prometheus.ask(f"label/{label}/values", **{"match[]": series}):
                raise Failed(f"the variable {variable['name']!r} has no values: {words}")
            count += 1
    return count
