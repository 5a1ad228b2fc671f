"""Tables: for the terminal, and between the markers of docs/performance.md."""
import os
import statistics

import machine

PAGE = os.path.join(machine.TREE, "docs", "performance.md")


def middle(rounds, name):
    values = [each[name] for each in rounds if name in each]
    return statistics.median(values) if values else None


def ratio(rounds, ceiling, possible):
    """The median of the ratios of rounds that ran one after the other, not the ratio of the medians."""
    if possible:
        return middle(rounds, "rate") / possible
    if not ceiling or "rate" not in rounds[0]:
        return None
    return statistics.median(each["rate"] / top["rate"] for each, top in zip(rounds, ceiling))


def ceiling(row, results):
    """The name and rounds of what a row's ratios are of: the C handler, where there is none the static file."""
    for key, name in (("c", "C handler"), ("static", "static")):
        if key in results:
            return name, results[key]
    return (f"{row.possible:.0f}/s" if row.possible else ""), None


def table(row, results, labels):
    """Head and lines, all text; columns that nobody has a figure for are left out."""
    name, top = ceiling(row, results)
    columns = (
        ("requests/s", lambda rounds: spread(rounds)),
        (f"of {name}", lambda rounds: number(ratio(rounds, top, row.possible), ".2f")),
        ("GB/s", lambda rounds: number(middle(rounds, "throughput"), ".2f")),
        ("CPU us/request", lambda rounds: number(middle(rounds, "cpu"), ".1f")),
        ("p50 ms", lambda rounds: number(middle(rounds, "p50"), ".2f")),
        ("p99 ms", lambda rounds: number(middle(rounds, "p99"), ".2f")),
        (row.other, lambda rounds: number(middle(rounds, "other"), ".0f")),
        ("errors", lambda rounds: number(sum(each.get("errors", 0) for each in rounds) if "rate" in rounds[0] else None, "d")),
        ("PSS MiB", lambda rounds: number(middle(rounds, "memory"), ".1f")),
    )
    lines = [[labels[key]] + [cell(rounds) for _, cell in columns] for key, rounds in results.items()]
    kept = [0] + [index + 1 for index in range(len(columns)) if any(line[index + 1] for line in lines)]
    head = ["", *(title for title, _ in columns)]
    return [head[index] for index in kept], [[line[index] for index in kept] for line in lines]


def spread(rounds):
    if "rate" not in rounds[0]:
        return ""
    rates = [each["rate"] for each in rounds]
    text = number(statistics.median(rates), ",.0f")
    return f"{text} ({min(rates):,.0f} to {max(rates):,.0f})" if len(rates) > 1 else text


def number(value, form):
    return "" if value is None else format(value, form)


def for_terminal(title, head, lines):
    widths = [max(len(line[index]) for line in [head, *lines]) for index in range(len(head))]
    form = lambda line: "  ".join(
        cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(zip(line, widths)))
    return "\n".join([f"\n{title}", form(head), *map(form, lines)])


def for_page(title, head, lines):
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join([f"### {title[0].upper()}{title[1:]}\n"] + ["| " + " | ".join(row) + " |" for row in rows])


def write(marker, parts):
    """Puts `parts` between the page's markers of that name."""
    begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
    with open(PAGE) as file:
        text = file.read()
    before, rest = text.split(begin)
    _, after = rest.split(end)
    with open(PAGE, "w") as file:
        file.write(before + begin + "\n\n" + "\n\n".join(parts) + "\n\n" + end + after)
    print(f"\nwritten to {PAGE}")


def worse(row, results):
    """Where ours is worse than C mod_wsgi, with a twentieth for the machine's mood; for the rows of scaling."""
    found = []
    for ours, theirs in (("embedded", "peer-embedded"), ("daemon", "peer-daemon")):
        if ours not in results or theirs not in results:
            continue
        for name, title, better in (("rate", "requests/s", 1), ("cpu", "CPU us/request", -1), ("p99", "p99 ms", -1)):
            mine, other = middle(results[ours], name), middle(results[theirs], name)
            if (mine < other * 0.95) if better > 0 else (mine > other * 1.05):
                found.append(f"{row.title}, {ours}: {title} {mine:,.2f}, C mod_wsgi {other:,.2f}")
        if errors := sum(each["errors"] for each in results[ours]):
            found.append(f"{row.title}, {ours}: {errors} errors")
    return found
