"""The register map as files: SystemRDL for tools, a C header for software, Markdown for people.

All three say what :func:`~snnhw.plan.registers.register_map` returns, and nothing of what users named: cores are numbered, and
``names.json`` of the output folder tells which layer each is.
"""

from snnhw.plan.registers import STRIDE, WORD_BITS, Block, Field, Register, RegisterMap

__all__ = ["format_header", "format_markdown", "format_rdl", "register_files"]

_BUSES = {"axi4-lite": "AXI4-Lite", "wishbone": "Wishbone B4, classic cycles"}
_RDL = {"ro": "sw = r; hw = w;", "rw": "sw = rw; hw = r;", "w1c": "sw = rw; onwrite = woclr; hw = w;", "wo": "sw = w; hw = r;"}


def register_files(registers: RegisterMap) -> dict[str, bytes]:
    """Return the content of all three by file name."""
    return {"registers.md": format_markdown(registers).encode(), "snnhw.rdl": format_rdl(registers).encode(),
            "snnhw_regs.h": format_header(registers).encode()}


def format_rdl(registers: RegisterMap) -> str:
    """Return the map as SystemRDL 2.0: an address map with a register file for each block."""
    lines = ["// Registers of an accelerator that snnhw generated.", "", "addrmap snnhw {",
             '    name = "snnhw accelerator";', f'    desc = "Control port, {_BUSES[registers.control]}.";',
             f"    default regwidth = {WORD_BITS};", f"    default accesswidth = {WORD_BITS};", ""]
    for block in registers.blocks:
        lines += ["    regfile {", f'        desc = "{block.description}";']
        for register in block.registers:
            lines += ["        reg {", f'            desc = "{register.description}";']
            for item in register.fields:
                access = "sw = r; hw = na;" if item.constant else _RDL[item.access]
                if item.access == "wo" and item.bits == 1:
                    access += " singlepulse;"
                reset, place = f"{item.bits}'h{item.reset:x}", f"[{item.lsb + item.bits - 1}:{item.lsb}]"
                lines.append(f'            field {{ {access} reset = {reset}; desc = "{item.description}"; }} '
                             f"{item.name}{place};")
            lines.append(f"        }} {register.name} @ {register.offset:#x};")
        lines += [f"    }} {block.name} @ {block.address:#x};", ""]
    return "\n".join([*lines[:-1], "};", ""])


def _prefix(block: Block) -> str:
    return "SNNHW_" if block.name == "core" else f"SNNHW_{block.name.upper()}_"


def _literal(number: int) -> str:
    """Return a number in C; the lowest has no literal of its own."""
    return f"(-{-number - 1} - 1)" if number < 0 else str(number)


def format_header(registers: RegisterMap) -> str:
    """Return the map as a C99 header of macros: the address of each register, and shift, mask and reset of each field."""
    lines = ["/* Registers of an accelerator that snnhw generated. Addresses count bytes from the base of the port. */", "",
             "#ifndef SNNHW_REGS_H", "#define SNNHW_REGS_H", "", "#include <stdint.h>", "",
             f"#define SNNHW_BYTES {len(registers.blocks) * STRIDE:#x}u"]
    for block in registers.blocks:
        prefix = _prefix(block)
        lines += ["", f"/* {block.description} */"]
        for register in block.words:
            name = prefix + register.name.upper()
            lines += ["", f"/* {register.description} */", f"#define {name} {block.address + register.offset:#05x}u"]
            for item in register.fields:
                field = f"{name}_{item.name.upper()}"
                negative = item.signed and item.reset >> item.bits - 1
                reset = _literal(item.reset - (1 << item.bits)) if negative else f"{item.reset:#x}u"
                lines += [f"/* {item.description} */", f"#define {field}_SHIFT {item.lsb}u",
                          f"#define {field}_MASK {((1 << item.bits) - 1) << item.lsb:#x}u", f"#define {field}_RESET {reset}"]
            for adjustable in block.adjustable:
                if adjustable.name == register.name and not adjustable.fixed:
                    lines += [f"#define {name}_LOWEST {_literal(adjustable.lowest)}",
                              f"#define {name}_HIGHEST {_literal(adjustable.highest)}"]
        lines.append("")
        for counter in block.counters:
            lines += [f"/* Number of {counter.description}; 64 bits, see snnhw_count. */",
                      f"#define {prefix}{counter.name.upper()} {block.address + counter.offset:#05x}u"]
    lines += ["", "static inline uint32_t snnhw_read(const volatile void *base, uint32_t address)", "{",
              "    return *(const volatile uint32_t *)((const volatile char *)base + address);", "}", "",
              "static inline void snnhw_write(volatile void *base, uint32_t address, uint32_t value)", "{",
              "    *(volatile uint32_t *)((volatile char *)base + address) = value;", "}", "",
              "/* Read a counter: its lower half first, which keeps the upper one. */",
              "static inline uint64_t snnhw_count(const volatile void *base, uint32_t address)", "{",
              "    uint64_t low = snnhw_read(base, address);", "",
              "    return low | (uint64_t)snnhw_read(base, address + 4u) << 32;",
              "}", "", "#endif", ""]
    return "\n".join(lines)


def _bits(item: Field) -> str:
    return str(item.lsb) if item.bits == 1 else f"{item.lsb + item.bits - 1}:{item.lsb}"


def _reset(item: Field) -> str:
    if item.access == "wo":
        return ""
    if item.signed and item.reset >> item.bits - 1:
        return str(item.reset - (1 << item.bits))
    return str(item.reset) if item.reset < 1 << 16 else f"0x{item.reset:08x}"


def _rows(block: Block, register: Register) -> list[str]:
    return [f"| {block.address + register.offset:#05x} | `{register.name}.{item.name}` | {_bits(item)} | "
            f"{'constant' if item.constant else item.access} | {_reset(item)} | {item.description} |" for item in register.fields]


def format_markdown(registers: RegisterMap) -> str:
    """Return the map as tables."""
    lines = [
        "# Registers", "",
        f"Bus: {_BUSES[registers.control]}. Words of {WORD_BITS} bits; addresses count bytes. `ro` is read-only, `wo` reads as "
        "0, `w1c` is cleared by writing 1. An access where there is no register is answered with an error; a write to what is "
        "read-only is ignored.", "",
        "A counter has 64 bits: the lower half is at its address, the upper half 4 bytes further. Reading the lower half keeps "
        "the upper half of the same counter for the read that follows.", "",
    ]
    for block in registers.blocks:
        lines += [f"## {block.name}", "", f"{block.description}", "", "| address | field | bits | access | reset | meaning |",
                  "|---|---|---|---|---|---|"]
        for register in block.words:
            lines += _rows(block, register)
        lines += ["", "| address | counter | number of |", "|---|---|---|"]
        lines += [f"| {block.address + counter.offset:#05x} | `{counter.name}` | {counter.description} |"
                  for counter in block.counters]
        lines.append("")
    return "\n".join(lines)
