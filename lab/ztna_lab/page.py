"""The matrix as a picture (SVG) and as a page (HTML) around it, each complete in one file."""

from __future__ import annotations

from html import escape

from . import oracle
from .matrix import counts, summary, wrong

CELL, LEFT, TOP, RIGHT = 26, 210, 190, 150
COLOURS = {oracle.DIRECT: "#2e9e5b", oracle.RELAY: "#3b6fb6", oracle.NONE: "#c9ced6", "": "#d43f3a"}
WORDS = {oracle.DIRECT: "direct", oracle.RELAY: "relay", oracle.NONE: "no uplink", "": "failed"}


def _cell_text(cell: dict) -> str:
    took = f" after {cell['ms']:.0f} ms" if cell["ms"] is not None else ""
    wanted = "" if cell["ok"] else f"; RFC 4787 says {cell['expected']}"
    error = f": {cell['error']}" if cell["error"] else ""
    return (f"Agent: {cell['agent']}; Connector: {cell['connector']}; "
            f"{WORDS[cell['outcome']]}{took}{wanted}{error}")


def svg(report: dict) -> str:
    names = report["networks"]
    side = CELL * len(names)
    width, height = LEFT + side + RIGHT, TOP + side + 60
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
             f'height="{height}" font-family="system-ui, sans-serif" font-size="12" role="img" '
             f'aria-label="{escape(summary(report))}">',
             f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
             f'<text x="{LEFT}" y="24" font-size="15" font-weight="600" fill="#1d2330">'
             "Which pairs of networks meet directly</text>",
             f'<text x="{LEFT - 8}" y="{TOP - 10}" text-anchor="end" fill="#5a6372">'
             "Agent ↓   Connector →</text>"]
    for index, name in enumerate(names):
        middle = CELL * index + CELL / 2
        parts.append(f'<text x="{LEFT - 8}" y="{TOP + middle + 4}" text-anchor="end" fill="#1d2330">'
                     f"{escape(name)}</text>")
        parts.append(f'<text transform="translate({LEFT + middle + 4} {TOP - 8}) rotate(-50)" '
                     f'fill="#1d2330">{escape(name)}</text>')
    for index, cell in enumerate(report["cells"]):
        row, column = divmod(index, len(names))
        parts.append(_square(cell, LEFT + CELL * column, TOP + CELL * row))
    parts += _legend(report, TOP + side + 20)
    return "\n".join(parts) + "\n</svg>\n"


def _square(cell: dict, x: int, y: int) -> str:
    inside = CELL - 3
    mark = "" if cell["ok"] else (f'<path d="M{x + 6} {y + 6}l{inside - 12} {inside - 12}m0 {12 - inside}'
                                  f'l{12 - inside} {inside - 12}" stroke="#fff" stroke-width="3"/>')
    return (f'<g><title>{escape(_cell_text(cell))}</title><rect x="{x}" y="{y}" width="{inside}" '
            f'height="{inside}" rx="3" fill="{COLOURS[cell["outcome"]]}"/>{mark}</g>')


def _legend(report: dict, y: int) -> list[str]:
    parts, x = [], LEFT
    for name, count in counts(report).items():
        colour = COLOURS.get(name, COLOURS[""])
        text = f"{count} {WORDS.get(name, name)}"
        parts.append(f'<rect x="{x}" y="{y}" width="14" height="14" rx="3" fill="{colour}"/>'
                     f'<text x="{x + 20}" y="{y + 12}" fill="#1d2330">{escape(text)}</text>')
        x += 44 + 7 * len(text)
    bad = len(wrong(report))
    verdict = f"✕ {bad} differ from RFC 4787" if bad else "all as RFC 4787 says"
    parts.append(f'<text x="{x}" y="{y + 12}" fill="#1d2330">{escape(verdict)}</text>')
    return parts


def html(report: dict) -> str:
    bad = wrong(report)
    rows = "".join(f"<tr><td>{escape(c['agent'])}</td><td>{escape(c['connector'])}</td>"
                   f"<td>{escape(c['outcome'] or 'failed')}</td><td>{escape(c['expected'])}</td>"
                   f"<td>{escape(c['error'])}</td></tr>" for c in bad)
    differing = (f"<h2>What differs</h2><table><tr><th>Agent<th>Connector<th>came out<th>RFC 4787"
                 f"<th>error</tr>{rows}</table>" if bad else "")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>ZTNA: NAT matrix</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
        color: #1d2330; background: #fff }}
svg {{ max-width: 100%; height: auto }}
td, th {{ text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top }}
</style>
<h1>NAT matrix</h1>
<p>{escape(summary(report))}</p>
<p>{escape(report['when'])}, {escape(report['version'])}, Linux {escape(report['kernel'])}, shape
“{escape(report['shape'])}”. Real programs behind real nftables NATs in network namespaces, by
<code>ztna lab matrix</code>. Every pair was observed in the same way: a request over the relay, a stream of
datagrams, up to two rounds of checks, and datagrams of 1, 1200 and 1472 octets at the end. A pointer
over a square shows its pair.</p>
{svg(report)}
{differing}
</html>
"""
