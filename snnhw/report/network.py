"""The network as boxes: one for each layer, left to right."""

from snnhw.report.page import ESTIMATED, Arrow, Box, Diagram
from snnhw.report.records import Part

__all__ = ["draw_network"]

WIDTH, HEIGHT, GAP, LEAD, PER_ROW, MARGIN = 178, 128, 62, 46, 4, 6
LETTERS = 24


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def _number(count: Part, noun: str) -> str:
    return f"{count.shown} {noun}{'' if count.number == 1 else 's'}"


def draw_network(layers: list[Part], steps: int | None = None, inputs: int | None = None) -> Diagram | None:
    """Return the network as a diagram, from the layers of an estimate; None when there are none.

    Each box holds a layer's shape, bits and lanes, where its spikes come from if not from the layer before alone, and how many
    cycles of a sample its accumulators are busy. `inputs` are those of the network; by default those of its first layer.
    """
    if not layers:
        return None
    boxes, arrows = [], []
    names = {layer["layer"].text for layer in layers}

    def place(index: int) -> tuple[int, int]:
        return MARGIN + (index % PER_ROW) * (WIDTH + GAP), MARGIN + (index // PER_ROW) * (HEIGHT + LEAD)

    sources = f"{inputs:,}" if inputs is not None else layers[0]["inputs"].shown or "?"
    boxes.append(
        Box(
            *place(0),
            WIDTH,
            HEIGHT,
            "input",
            "input",
            (f"{sources} spike trains", *([f"{steps} timesteps"] if steps else [])),
            f"input: {sources} spike trains",
        )
    )
    for index, layer in enumerate(layers, start=1):
        x, y = place(index)
        name = layer["layer"].text or f"layer {index - 1}"
        busy = layer["counts"]["accumulate"].number
        lines = [
            f"{layer['inputs'].shown} → {layer['neurons'].shown} neurons",
            f"weights {layer['weight_bits'].shown} b, state {layer['state_bits'].shown} b",
            f"{_number(layer['lanes'], 'lane')} × {_number(layer['tiles'], 'tile')}",
        ]
        given = [(source["layer"].text, source["delayed"].flag) for source in layer["sources"].elements]
        before = layers[index - 2]["layer"].text if index > 1 else next((who for who, _ in given if who not in names), "")
        joined = not given or (before, False) in given
        if given and given != [(before, False)]:
            lines.append("from " + ", ".join(who + (" (delayed)" if late else "") for who, late in given))
        if busy is not None:
            lines.append(f"busy {busy:,.0f} cycles")
        boxes.append(Box(x, y, WIDTH, HEIGHT, "layer", _cut(name), tuple(map(_cut, lines)), f"{name}: {', '.join(lines)}"))
        counts = layer["counts"]
        events = counts["sources_read" if counts["events_write"].number is None else "events_write"].number
        before_x, before_y = place(index - 1)
        text = "" if events is None else f"{events:,.0f} ev"
        if not joined:
            continue
        if before_y == y:
            middle = y + HEIGHT // 2
            arrows.append(Arrow(f"M{before_x + WIDTH} {middle}H{x - 7}", text, before_x + WIDTH + GAP // 2 - 3, middle - 8))
        else:
            down = before_y + HEIGHT + LEAD // 2
            path = f"M{before_x + WIDTH // 2} {before_y + HEIGHT}V{down}H{x + WIDTH // 2}V{y - 7}"
            arrows.append(Arrow(path, text, (before_x + x + WIDTH) // 2, down - 6))
    rows = -(-len(boxes) // PER_ROW)
    columns = min(len(boxes), PER_ROW)
    return Diagram(
        2 * MARGIN + columns * WIDTH + (columns - 1) * GAP,
        2 * MARGIN + rows * HEIGHT + (rows - 1) * LEAD,
        tuple(boxes),
        tuple(arrows),
        "One core for each layer. On the arrows: events per sample; busy: cycles in which a layer's accumulators add.",
        ESTIMATED,
    )
