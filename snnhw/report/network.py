"""The network as boxes: one for each layer, left to right."""

from snnhw.report.page import ESTIMATED, Arrow, Box, Diagram
from snnhw.report.records import Part

__all__ = ["draw_network"]

WIDTH, HEIGHT, GAP, LEAD, PER_ROW, MARGIN = 178, 112, 62, 46, 4, 6
LETTERS = 18


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def _number(count: Part, noun: str) -> str:
    return f"{count.shown} {noun}{'' if count.number == 1 else 's'}"


def draw_network(layers: list[Part], steps: int | None = None) -> Diagram | None:
    """Return the network as a diagram, from the layers of an estimate; None when there are none.

    Each box holds a layer's shape, bits and lanes, and how many cycles of a sample its accumulators are busy.
    """
    if not layers:
        return None
    boxes, arrows = [], []

    def place(index: int) -> tuple[int, int]:
        return MARGIN + (index % PER_ROW) * (WIDTH + GAP), MARGIN + (index // PER_ROW) * (HEIGHT + LEAD)

    sources = layers[0]["inputs"].shown or "?"
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
        if busy is not None:
            lines.append(f"busy {busy:,.0f} cycles")
        boxes.append(Box(x, y, WIDTH, HEIGHT, "layer", _cut(name), tuple(lines), f"{name}: {', '.join(lines)}"))
        events = layer["counts"]["events_write"].number
        before_x, before_y = place(index - 1)
        text = "" if events is None else f"{events:,.0f} ev"
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
