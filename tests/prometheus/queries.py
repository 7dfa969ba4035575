"""The queries of the dashboard and of the rules, and what they name."""

import json
import re

# What Prometheus or the cluster adds to each target's series.
OF_TARGETS = {"job", "instance", "namespace"}
# Series that are not the gateway's.
OF_PROMETHEUS = {"up", "ALERTS"}
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}
GROUPING = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"


def of_dashboard(path):
    """The panels' queries, as (title, unit, legend, query)."""
    dashboard = json.loads(path.read_text())
    queries = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            unit = panel["fieldConfig"]["defaults"]["unit"]
            queries.append((panel["title"], unit, target["legendFormat"], target["expr"]))
    return dashboard, queries


def filled_in(query, dashboard):
    """A query as Grafana sends it where all of everything is chosen."""
    for variable in dashboard["templating"]["list"]:
        query = query.replace(f"${variable['name']}", variable.get("allValue", ""))
    query = query.replace("$__rate_interval", "5s")
    if "$" in query:
        raise SystemExit(f"a variable that there is not: {query}")
    return query


def names(query):
    """What a query names: selectors as (metric, labels), and the labels by which it groups."""
    # Strings first, since they may hold anything.
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', '""', query)
    grouping = {label.strip() for group in re.findall(GROUPING, bare) for label in group.split(",")}
    bare = re.sub(GROUPING, " ", bare)
    bare = re.sub(r"\[[^]]*\]|\boffset\s+\w+", " ", bare)
    selectors = []
    for name, opened, labels in re.findall(r"([a-zA-Z_:][\w:]*)\s*(?:(\()|\{([^}]*)\})?", bare):
        if not opened and name not in WORDS:
            selectors.append((name, set(re.findall(r"(\w+)\s*[=!]", labels))))
    return selectors, grouping - {""}


def unknown(query, labels_of):
    """What a query names that there is not. `labels_of` tells the labels that a metric has."""
    wrong, there = [], set()
    selectors, grouping = names(query)
    if not selectors:
        wrong.append("no metric")
    for metric, labels in selectors:
        known = labels_of(metric)
        if not known:
            wrong.append(f"there is no {metric}")
        elif labels - known - OF_TARGETS:
            wrong.append(f"{metric} has no {labels - known - OF_TARGETS}")
        there |= known
    if not wrong and grouping - there - OF_TARGETS:
        wrong.append(f"nothing has {grouping - there - OF_TARGETS}")
    return wrong
