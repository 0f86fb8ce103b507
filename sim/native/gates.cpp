// A mapped netlist as data: one compiled simulator for every design of every family.
//
// Tables of up to five inputs, flip-flops, memories and multipliers, on one clock. Without delays a cycle is settled once,
// level by level, and a net toggles at most once in it. With delays each cell and each connection has its own: a table waits
// out its delay and forgets a change that is taken back meanwhile, so what is left are the glitches that get through. What
// happens at the same time happens together, in no order: outputs change, then values arrive, then tables look at all of them.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <stdexcept>

#include "harness.h"
#include "model.h"

namespace snnhw {
namespace {

using Id = uint32_t;

constexpr Id LOW = 0, HIGH = 1;     // nets that never change
constexpr unsigned WHEEL = 4096;    // slots of the time wheel: longer than any delay of a cell or a connection
constexpr unsigned INPUTS = 5;      // of a table
constexpr uint32_t NEVER = ~0u;

class Gates;

// A cell that is more than a table or a flip-flop. Nets in the order of its file; outputs follow `inputs`.
struct Block {
  virtual ~Block() = default;
  // Outputs that follow the inputs without a clock.
  virtual void settle(Gates &) {}
  // What the rising edge does with the settled values.
  virtual void edge(Gates &) {}

  std::vector<Id> inputs, outputs;
  uint32_t level = 0;      // 0: outputs change with the clock only
  uint32_t delay = 0;      // from an input, or from the clock, to the outputs
  uint32_t number = 0;     // its place among the blocks
  uint32_t reads = NEVER, writes = NEVER;  // groups that its accesses are counted in
  bool waiting = false;
};

struct Table {
  std::array<Id, INPUTS> inputs;
  std::array<uint16_t, INPUTS> delays;
  uint32_t function;
  Id output;
  uint32_t level;
  uint8_t state = 0;       // values that have arrived at the inputs
  bool queued = false, pending = false, next = false;
  uint32_t ticket = 0;     // of the pending change; another one cancels it
  uint16_t soonest = 0;    // least delay of the pins that a value arrives at now, as in Verilog's specify blocks
};

struct FlipFlop {
  Id data, enable, reset, output;
  bool enable_level, reset_level, reset_value, reset_needs_enable;
};

struct Sink {
  uint32_t cell;           // tables first, then blocks
  uint8_t pin;
  uint16_t wire;           // delay of the connection
};

// A change of an output, or its arrival at an input.
struct Change {
  Id net;                  // launched with the clock; or the table that it comes from
  uint32_t ticket;         // of a table; NEVER: launched
  bool value;
};
struct Arrival {
  uint32_t cell;
  uint8_t pin;
  bool value;
};
struct Slot {
  std::vector<Change> changes;
  std::vector<uint32_t> blocks;  // that have waited out their delay
  std::vector<Arrival> arrivals;
};

class Gates final : public Model {
 public:
  explicit Gates(const std::string &path) { read(path); }

  // ------------------------------------------------------------------ what the harness calls
  void settle() override {
    const bool clock = clock_data_ & 1;
    if (clock && !clock_before_) rise();
    clock_before_ = clock;
    if (clock) return;
    for (const In &in : in_ports_) {
      for (uint32_t bit = 0; bit < in.nets.size(); bit++) {
        const bool value = in.data[bit / 8] >> (bit % 8) & 1;
        if (value != value_[in.nets[bit]]) launch(in.nets[bit], value, input_delay_);
      }
    }
    propagate();
    for (const Out &out : out_ports_) {
      std::memset(out.data, 0, out.bytes);
      for (uint32_t bit = 0; bit < out.nets.size(); bit++) out.data[bit / 8] |= value_[out.nets[bit]] << (bit % 8);
    }
  }

  void begin_activity(uint64_t samples) override {
    cycle_ = 0;
    std::fill(toggles_.begin(), toggles_.end(), 0);
    std::fill(settled_.begin(), settled_.end(), 0);
    std::fill(highs_.begin(), highs_.end(), 0);
    groups_.assign(samples * group_count_, 0);
    before_ = value_;
    slowest_ = 0;
  }

  void begin_cycle(uint64_t sample, bool counted) override {
    row_ = counted ? &groups_[sample * group_count_] : nullptr;
    if (counted) cycle_++;
  }

  // ------------------------------------------------------------------ what Python reads
  uint64_t nets() const { return value_.size(); }
  uint64_t group_count() const { return group_count_; }
  const uint64_t *toggles() const { return toggles_.data(); }
  const uint64_t *settled() const { return settled_.data(); }
  const uint64_t *groups() const { return groups_.data(); }
  uint64_t cycles() const { return cycle_; }
  uint64_t slowest() const { return slowest_; }
  // Cycles in which a net was high: its falling times less its rising times, and the end if it still is.
  uint64_t high(Id net) const { return highs_[net] + (before_[net] ? cycle_ : 0); }

  // ------------------------------------------------------------------ what blocks use
  bool at(Id net) const { return value_[net]; }
  uint32_t word(const Id *nets, unsigned bits) const {
    uint32_t word = 0;
    for (unsigned bit = 0; bit < bits; bit++) word |= uint32_t{value_[nets[bit]]} << bit;
    return word;
  }
  // New values of outputs: behind the cell's delay while the clock rises, at once otherwise. Without delays, what follows the
  // inputs too waits until those have settled.
  void drive(const Block &block, uint64_t word, unsigned first, unsigned bits) {
    if (rising_ && !delayed_ && block.level) return queue(static_cast<uint32_t>(tables_.size()) + block.number);
    for (unsigned bit = 0; bit < bits; bit++) {
      const Id net = block.outputs[first + bit];
      const bool value = word >> bit & 1;
      if (net == NEVER || last_[net] == value) continue;
      launch(net, value, rising_ ? block.delay : 0);
    }
  }
  void access(uint32_t group) {
    if (row_ && group != NEVER) row_[group]++;
  }

 private:
  struct In { std::vector<Id> nets; std::vector<uint8_t> data; };
  struct Out { std::vector<Id> nets; uint8_t *data; uint32_t bytes; };
  struct Launch { Id net; bool value; uint32_t time; };

  void read(const std::string &path);

  void rise() {
    rising_ = true;
    for (const FlipFlop &flip_flop : flip_flops_) {
      const bool enabled = value_[flip_flop.enable] == flip_flop.enable_level;
      const bool reset = value_[flip_flop.reset] == flip_flop.reset_level && (enabled || !flip_flop.reset_needs_enable);
      const bool value = reset ? flip_flop.reset_value : enabled ? value_[flip_flop.data] : value_[flip_flop.output];
      if (value != value_[flip_flop.output]) launch(flip_flop.output, value, flip_flop_delay_);
    }
    for (auto &block : blocks_) block->edge(*this);
    rising_ = false;
  }

  void launch(Id net, bool value, uint32_t time) {
    last_[net] = value;
    launched_.push_back({net, value, time});
  }

  // Give a net a new value now.
  void change(Id net, bool value) {
    value_[net] = value;
    if (!row_) return;
    toggles_[net]++;
    slowest_ = std::max<uint64_t>(slowest_, now_);
    if (group_[net] != NEVER) row_[group_[net]]++;
    if (!touched_[net]) touched_[net] = true, touched_list_.push_back(net);
  }

  void propagate() {
    if (delayed_) propagate_delayed();
    else propagate_settled();
    // What a cycle leaves behind: settled toggles, and times for the share of high cycles.
    for (const Id net : touched_list_) {
      touched_[net] = false;
      if (value_[net] == before_[net]) continue;
      before_[net] = value_[net];
      settled_[net]++;
      highs_[net] += value_[net] ? -(cycle_ - 1) : cycle_ - 1;
    }
    touched_list_.clear();
  }

  // ------------------------------------------------------------------ zero delay
  void queue(uint32_t cell) {
    if (cell < tables_.size()) {
      Table &table = tables_[cell];
      if (!table.queued) table.queued = true, levels_[table.level].push_back(cell);
    } else {
      Block &block = *blocks_[cell - tables_.size()];
      if (block.level && !block.waiting) block.waiting = true, levels_[block.level].push_back(cell);
    }
  }

  void spread(Id net) {
    for (uint32_t index = sink_begin_[net]; index < sink_begin_[net + 1]; index++) {
      const Sink &sink = sinks_[index];
      if (sink.cell < tables_.size()) tables_[sink.cell].state ^= 1u << sink.pin;
      queue(sink.cell);
    }
  }

  void flush() {
    for (size_t index = 0; index < launched_.size(); index++) {
      const Launch item = launched_[index];
      if (value_[item.net] == item.value) continue;
      change(item.net, item.value);
      spread(item.net);
    }
    launched_.clear();
  }

  void propagate_settled() {
    flush();
    for (auto &level : levels_) {
      for (size_t index = 0; index < level.size(); index++) {
        const uint32_t cell = level[index];
        if (cell >= tables_.size()) {
          Block &block = *blocks_[cell - tables_.size()];
          block.waiting = false;
          block.settle(*this);
          flush();
          continue;
        }
        Table &table = tables_[cell];
        table.queued = false;
        const bool value = table.function >> table.state & 1;
        if (value == value_[table.output]) continue;
        last_[table.output] = value;
        change(table.output, value);
        spread(table.output);
      }
      level.clear();
    }
  }

  // ------------------------------------------------------------------ cell and connection delays
  Slot &at_time(uint32_t time) {
    events_++;
    return wheel_[time % WHEEL];
  }

  void depart(Id net) {
    for (uint32_t index = sink_begin_[net]; index < sink_begin_[net + 1]; index++) {
      const Sink &sink = sinks_[index];
      if (sink.cell >= tables_.size() && !blocks_[sink.cell - tables_.size()]->level) continue;
      at_time(now_ + sink.wire).arrivals.push_back({sink.cell, sink.pin, static_cast<bool>(value_[net])});
    }
  }

  void become(Id net, bool value) {
    if (value_[net] == value) return;
    change(net, value);
    depart(net);
  }

  void flush_delayed() {
    for (size_t index = 0; index < launched_.size(); index++) {
      const Launch item = launched_[index];
      if (item.time) at_time(now_ + item.time).changes.push_back({item.net, NEVER, item.value});
      else become(item.net, item.value);
    }
    launched_.clear();
  }

  void arrive(const Arrival &arrival) {
    if (arrival.cell >= tables_.size()) {
      Block &block = *blocks_[arrival.cell - tables_.size()];
      if (block.waiting) return;
      block.waiting = true;
      at_time(now_ + std::max(1u, block.delay)).blocks.push_back(arrival.cell - static_cast<uint32_t>(tables_.size()));
      return;
    }
    Table &table = tables_[arrival.cell];
    table.state = (table.state & ~(1u << arrival.pin)) | uint8_t(arrival.value) << arrival.pin;
    const uint16_t delay = table.delays[arrival.pin];
    table.soonest = table.queued ? std::min(table.soonest, delay) : delay;
    if (!table.queued) table.queued = true, woken_.push_back(arrival.cell);
  }

  void look(uint32_t cell) {
    Table &table = tables_[cell];
    const bool value = table.function >> table.state & 1;
    table.queued = false;
    if (table.pending) {
      if (value != table.next) table.pending = false, table.ticket++;
    } else if (value != value_[table.output]) {
      table.pending = true, table.next = value, table.ticket++;
      at_time(now_ + table.soonest).changes.push_back({cell, table.ticket, value});
    }
  }

  void propagate_delayed() {
    now_ = 0;
    flush_delayed();
    for (; events_; now_++) {
      Slot &slot = wheel_[now_ % WHEEL];
      if (slot.changes.empty() && slot.blocks.empty() && slot.arrivals.empty()) continue;
      for (const Change &item : slot.changes) {
        if (item.ticket == NEVER) {
          become(item.net, item.value);
        } else if (Table &table = tables_[item.net]; table.pending && table.ticket == item.ticket) {  // not taken back
          table.pending = false;
          last_[table.output] = item.value;
          become(table.output, item.value);
        }
      }
      for (const uint32_t index : slot.blocks) {
        blocks_[index]->waiting = false;
        blocks_[index]->settle(*this);
        flush_delayed();
      }
      for (const Arrival &item : slot.arrivals) arrive(item);
      for (const uint32_t cell : woken_) look(cell);
      events_ -= slot.changes.size() + slot.blocks.size() + slot.arrivals.size();
      slot.changes.clear(), slot.blocks.clear(), slot.arrivals.clear(), woken_.clear();
    }
    now_ = 0;
  }

  std::vector<uint8_t> value_, last_, before_;   // of each net: now, as last launched, when the last cycle ended
  std::vector<uint8_t> touched_;
  std::vector<Id> touched_list_;
  std::vector<uint32_t> sink_begin_;
  std::vector<Sink> sinks_;
  std::vector<Table> tables_;
  std::vector<FlipFlop> flip_flops_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<std::vector<uint32_t>> levels_;
  std::vector<Slot> wheel_;
  std::vector<uint32_t> woken_;  // tables that a value arrives at now
  std::vector<Launch> launched_;
  std::vector<In> in_ports_;
  std::vector<Out> out_ports_;
  std::vector<std::vector<uint8_t>> out_data_;
  std::vector<std::string> names_;
  std::vector<uint32_t> group_;
  std::vector<uint64_t> toggles_, settled_, highs_, groups_;
  uint64_t *row_ = nullptr;
  uint64_t group_count_ = 0, cycle_ = 0, slowest_ = 0, events_ = 0;
  uint32_t input_delay_ = 0, flip_flop_delay_ = 0, now_ = 0;
  uint8_t clock_data_ = 0;
  bool clock_before_ = false, delayed_ = false, rising_ = false;
};

// ------------------------------------------------------------------ memories and multipliers

// SB_RAM40_4K. Inputs: RCLKE RE WCLKE WE RADDR[11] WADDR[11] MASK[16] WDATA[16].
struct IceRam final : Block {
  std::array<uint16_t, 256> words{};
  unsigned read_mode = 0, write_mode = 0;

  void edge(Gates &gates) override {
    if (gates.at(inputs[0]) && gates.at(inputs[1])) {
      const uint32_t address = gates.word(&inputs[4], 11);
      const unsigned lane = address >> 8, step = 1u << read_mode;
      // Bit k of a narrow word is bit `lane + k * step` of the row, and leaves at the place that the primitive has for it.
      const uint16_t row = words[address & 255];
      uint32_t out = row;
      if (read_mode) {
        out = 0;
        for (unsigned bit = 0; bit < 16u >> read_mode; bit++)
          out |= uint32_t(row >> (bit * step + (lane & (step - 1))) & 1) << (bit * step + place(read_mode));
      }
      gates.access(reads);
      gates.drive(*this, out, 0, 16);
    }
    if (gates.at(inputs[2]) && gates.at(inputs[3])) {
      const uint32_t address = gates.word(&inputs[15], 11), data = gates.word(&inputs[42], 16);
      const unsigned lane = address >> 8, step = 1u << write_mode;
      uint16_t &row = words[address & 255];
      if (!write_mode) {
        const uint32_t mask = gates.word(&inputs[26], 16);
        row = static_cast<uint16_t>((row & mask) | (data & ~mask));
      } else {
        for (unsigned bit = 0; bit < 16u >> write_mode; bit++) {
          const unsigned at = bit * step + (lane & (step - 1));
          row = static_cast<uint16_t>((row & ~(1u << at)) | (data >> (bit * step + place(write_mode)) & 1) << at);
        }
      }
      gates.access(writes);
    }
  }
  static unsigned place(unsigned mode) { return mode == 1 ? 0 : mode == 2 ? 1 : 3; }
};

// SB_SPRAM256KA. Inputs: CHIPSELECT WREN ADDRESS[14] DATAIN[16] MASKWREN[4].
struct SinglePortRam final : Block {
  std::vector<uint16_t> words = std::vector<uint16_t>(1 << 14);

  void edge(Gates &gates) override {
    if (!gates.at(inputs[0])) return;
    uint16_t &word = words[gates.word(&inputs[2], 14)];
    if (!gates.at(inputs[1])) {
      gates.access(reads);
      gates.drive(*this, word, 0, 16);
      return;
    }
    const uint32_t data = gates.word(&inputs[16], 16), enabled = gates.word(&inputs[32], 4);
    for (unsigned part = 0; part < 4; part++)
      if (enabled >> part & 1) word = static_cast<uint16_t>((word & ~(15u << 4 * part)) | (data & 15u << 4 * part));
    gates.access(writes);
  }
};

// DP16KD. Inputs, port A then B: CE WE RST ADDRESS[14] DATA[18]. Outputs: A[18] B[18]. Width 36 joins both data ports.
struct LatticeRam final : Block {
  std::array<uint16_t, 2048> bytes{};  // of nine bits
  std::array<unsigned, 2> width{18, 18};
  std::array<unsigned, 2> mode{0, 0};  // 0: keeps its output while it writes, 1: gives what it writes, 2: what was there

  uint64_t get(unsigned bits, uint32_t address) const {
    if (bits <= 4) return bytes[address >> 3] >> (address & 7 & ~(bits - 1)) & ((1u << bits) - 1);
    uint64_t word = 0;
    const unsigned count = bits / 9, first = (address >> 3) & ~(count - 1);
    for (unsigned part = 0; part < count; part++) word |= uint64_t{bytes[first + part]} << 9 * part;
    return word;
  }
  void put(unsigned bits, uint32_t address, uint64_t word) {
    if (bits <= 4) {
      const unsigned at = address & 7 & ~(bits - 1), mask = (1u << bits) - 1;
      uint16_t &byte = bytes[address >> 3];
      byte = static_cast<uint16_t>((byte & ~(mask << at)) | (word & mask) << at);
      return;
    }
    const unsigned count = bits / 9, first = (address >> 3) & ~(count - 1);
    for (unsigned part = 0; part < count; part++)  // of wide words the lowest address bits enable bytes
      if (count == 1 || address >> part & 1) bytes[first + part] = word >> 9 * part & 511;
  }

  void edge(Gates &gates) override {
    struct Port { bool enabled, write, reset; uint32_t address; uint64_t data, old; };
    std::array<Port, 2> ports;
    for (unsigned side = 0; side < 2; side++) {
      const Id *in = &inputs[side * 35];
      Port &port = ports[side];
      port = {gates.at(in[0]), gates.at(in[1]), gates.at(in[2]), gates.word(in + 3, 14), gates.word(in + 17, 18), 0};
      if (width[side] == 36) port.data = gates.word(&inputs[17], 18) | uint64_t{gates.word(&inputs[52], 18)} << 18;
      port.old = get(width[side], port.address);
    }
    const bool joined = width[0] == 36 || width[1] == 36;
    for (unsigned side = 0; side < 2; side++) {
      const Port &port = ports[side];
      if (port.enabled && port.write) {
        const bool any = width[side] < 18 || port.address & (width[side] == 18 ? 3 : 15);
        put(width[side], port.address, port.data);
        if (any) gates.access(writes);
      }
    }
    for (unsigned side = 0; side < 2; side++) {
      const Port &port = ports[side];
      const bool wide = width[side] == 36;
      if (joined && side == 0) continue;  // it writes only, its outputs are those of port B
      uint64_t out = port.old;
      bool gives = port.enabled && (!port.write || mode[side]);
      if (port.write && mode[side] == 1) out = get(width[side], port.address);
      // Outputs that nobody has are no read.
      const bool used = std::any_of(outputs.begin() + (wide ? 0 : 18 * side), outputs.begin() + 18 * (side + 1),
                                    [](Id net) { return net != NEVER; });
      if (gives && used) gates.access(reads);
      if (port.reset) gives = true, out = 0;
      if (!gives) continue;
      if (wide) gates.drive(*this, out, 0, 36);
      else gates.drive(*this, out, 18 * side, 18);
    }
  }
};

// TRELLIS_DPR16X4. Inputs: WRE WAD[4] DI[4] RAD[4].
struct TableRam final : Block {
  std::array<uint8_t, 16> words{};

  void settle(Gates &gates) override { gates.drive(*this, words[gates.word(&inputs[9], 4)], 0, 4); }
  void edge(Gates &gates) override {
    if (!gates.at(inputs[0])) return;
    words[gates.word(&inputs[1], 4)] = static_cast<uint8_t>(gates.word(&inputs[5], 4));
    gates.access(writes);
    settle(gates);
  }
};

int64_t extend(uint64_t word, unsigned bits, bool is_signed) {
  return is_signed ? static_cast<int64_t>(word << (64 - bits)) >> (64 - bits) : static_cast<int64_t>(word);
}

// MULT18X18D without registers. Inputs: SIGNEDA SIGNEDB A[18] B[18].
struct Multiplier final : Block {
  uint64_t old = 0;
  void settle(Gates &gates) override {
    const uint64_t both = gates.word(&inputs[2], 18) | uint64_t{gates.word(&inputs[20], 18)} << 18;
    if (both != old) gates.access(reads), old = both;
    const int64_t product = extend(both & 0x3FFFF, 18, gates.at(inputs[0])) * extend(both >> 18, 18, gates.at(inputs[1]));
    gates.drive(*this, static_cast<uint64_t>(product), 0, 36);
  }
};

// SB_MAC16, its two adders, registers and cascades. Inputs: CE C[16] A[16] B[16] D[16] AHOLD BHOLD CHOLD DHOLD OLOADTOP OLOADBOT
// ADDSUBTOP ADDSUBBOT OHOLDTOP OHOLDBOT CI ACCUMCI SIGNEXTIN IRSTTOP IRSTBOT ORSTTOP ORSTBOT. Outputs: O[32] CO ACCUMCO SIGNEXTOUT.
struct Dsp final : Block {
  enum Pin { CE, C = 1, A = 17, B = 33, D = 49, AHOLD = 65, BHOLD, CHOLD, DHOLD, OLOADTOP, OLOADBOT, ADDSUBTOP, ADDSUBBOT, OHOLDTOP,
             OHOLDBOT, CI, ACCUMCI, SIGNEXTIN, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT };
  // In the order of the file.
  struct Mode {
    unsigned c_reg, a_reg, b_reg, d_reg, top_reg, bottom_reg, pipe1, pipe2, top_output, top_lower, top_upper, top_carry, bottom_output,
        bottom_lower, bottom_upper, bottom_carry, bytes, a_signed, b_signed;
  } mode{};
  uint32_t rA = 0, rB = 0, rC = 0, rD = 0, rF = 0, rJ = 0, rK = 0, rG = 0, rH = 0, rQ = 0, rS = 0;
  // What settles between the registers.
  struct Inside { uint32_t f, j, k, g, l, p, r; uint64_t out; bool co, accumco, signext; };
  uint64_t old = 0;

  Inside work(Gates &gates) const {
    const auto in = [&](Pin pin) { return gates.word(&inputs[pin], 16); };
    const auto bit = [&](Pin pin) { return static_cast<uint32_t>(gates.at(inputs[pin])); };
    const uint32_t a = mode.a_reg ? rA : in(A), b = mode.b_reg ? rB : in(B), c = mode.c_reg ? rC : in(C), d = mode.d_reg ? rD : in(D);
    const auto part = [&](uint32_t word, bool high, bool is_signed) {
      const uint32_t byte = high ? word >> 8 : word & 255;
      return static_cast<uint32_t>(extend(byte, 8, is_signed && (high || mode.bytes)));
    };
    const uint32_t ah = part(a, true, mode.a_signed), al = part(a, false, mode.a_signed);
    const uint32_t bh = part(b, true, mode.b_signed), bl = part(b, false, mode.b_signed);
    Inside now{};
    now.f = ah * bh & 0xFFFF, now.j = (al & 255) * bh & 0xFFFF, now.k = ah * (bl & 255) & 0xFFFF, now.g = al * bl & 0xFFFF;
    const uint32_t f = mode.top_reg ? rF : now.f, j = mode.pipe1 ? rJ : now.j, k = mode.pipe1 ? rK : now.k;
    const uint32_t g = mode.bottom_reg ? rG : now.g;
    const uint32_t je = static_cast<uint32_t>(extend(j, 16, mode.b_signed)) & 0xFFFFFF;
    const uint32_t ke = static_cast<uint32_t>(extend(k, 16, mode.a_signed)) & 0xFFFFFF;
    now.l = g + (ke << 8) + (je << 8) + (f << 16);
    const uint32_t h = mode.pipe2 ? rH : now.l;

    const uint32_t y = mode.bottom_upper ? d : rS;
    const uint32_t z = mode.bottom_lower == 0 ? b : mode.bottom_lower == 1 ? g : mode.bottom_lower == 2 ? h & 0xFFFF : bit(SIGNEXTIN) * 0xFFFF;
    const uint32_t lci = mode.bottom_carry == 0 ? 0 : mode.bottom_carry == 1 ? 1 : mode.bottom_carry == 2 ? bit(ACCUMCI) : bit(CI);
    const uint32_t low = z + (y ^ bit(ADDSUBBOT) * 0xFFFF) + lci, lco = low >> 16 & 1;
    now.r = bit(OLOADBOT) ? d : (low & 0xFFFF) ^ bit(ADDSUBBOT) * 0xFFFF;

    const uint32_t w = mode.top_upper ? c : rQ;
    const uint32_t x = mode.top_lower == 0 ? a : mode.top_lower == 1 ? f : mode.top_lower == 2 ? h >> 16 : (z >> 15) * 0xFFFF;
    const uint32_t hci = mode.top_carry == 0 ? 0 : mode.top_carry == 1 ? 1 : mode.top_carry == 2 ? lco : lco ^ bit(ADDSUBBOT);
    const uint32_t top = x + (w ^ bit(ADDSUBTOP) * 0xFFFF) + hci;
    now.accumco = top >> 16 & 1, now.co = now.accumco ^ bit(ADDSUBTOP), now.signext = x >> 15 & 1;
    now.p = bit(OLOADTOP) ? c : (top & 0xFFFF) ^ bit(ADDSUBTOP) * 0xFFFF;
    const uint32_t oh = mode.top_output == 0 ? now.p : mode.top_output == 1 ? rQ : mode.top_output == 2 ? f : h >> 16;
    const uint32_t ol = mode.bottom_output == 0 ? now.r : mode.bottom_output == 1 ? rS : mode.bottom_output == 2 ? g : h & 0xFFFF;
    now.out = uint64_t{oh} << 16 | ol;
    return now;
  }
  void give(Gates &gates, const Inside &now) {
    gates.drive(*this, now.out | uint64_t{now.co} << 32 | uint64_t{now.accumco} << 33 | uint64_t{now.signext} << 34, 0, 35);
  }
  void settle(Gates &gates) override {
    const uint64_t both = gates.word(&inputs[A], 16) | uint64_t{gates.word(&inputs[B], 16)} << 16;
    if (both != old) gates.access(reads), old = both;
    give(gates, work(gates));
  }
  void edge(Gates &gates) override {
    const Inside now = work(gates);
    const auto in = [&](Pin pin) { return gates.word(&inputs[pin], 16); };
    const auto bit = [&](Pin pin) { return gates.at(inputs[pin]); };
    if (bit(CE)) {
      if (!bit(CHOLD)) rC = in(C);
      if (!bit(AHOLD)) rA = in(A);
      if (!bit(BHOLD)) rB = in(B);
      if (!bit(DHOLD)) rD = in(D);
      rF = now.f, rG = now.g;
      if (!mode.bytes) rJ = now.j, rK = now.k, rH = now.l;
      if (!bit(OHOLDTOP)) rQ = now.p;
      if (!bit(OHOLDBOT)) rS = now.r;
    }
    if (bit(IRSTTOP)) rA = rC = rF = rJ = 0;
    if (bit(IRSTBOT)) rB = rD = rG = rK = rH = 0;
    if (bit(ORSTTOP)) rQ = 0;
    if (bit(ORSTBOT)) rS = 0;
    give(gates, work(gates));
  }
};

template <typename T>
void fill(std::istream &file, T &words) {
  size_t count = 0;
  file >> count;
  for (size_t index = 0; index < count; index++) {
    uint64_t word;
    file >> std::hex >> word >> std::dec;
    words.at(index) = static_cast<typename T::value_type>(word);
  }
}

}  // namespace

// The file holds a line for each thing, in the order that snnhw/gates/netlist.py writes them.
void Gates::read(const std::string &path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("no netlist " + path);
  std::string word;
  uint32_t nets = 0, clock = 0;
  file >> word >> nets >> clock >> group_count_ >> delayed_ >> input_delay_ >> flip_flop_delay_;
  value_.assign(nets, 0), touched_.assign(nets, 0), group_.assign(nets, NEVER);
  toggles_.assign(nets, 0), settled_.assign(nets, 0), highs_.assign(nets, 0);
  value_[HIGH] = 1;
  std::vector<std::vector<Sink>> sinks(nets);
  std::vector<std::vector<uint32_t>> wires;  // of each cell's inputs
  uint32_t deepest = 0;
  const auto ids = [&](std::vector<Id> &into, size_t count) {
    into.resize(count);
    for (Id &id : into) file >> id;
  };
  struct PortLine { std::string name; bool input; std::vector<Id> nets; };
  std::vector<PortLine> lines;
  while (file >> word) {
    if (word == "port") {
      PortLine line;
      size_t count = 0;
      file >> line.name >> line.input >> count;
      ids(line.nets, count);
      lines.push_back(line);
    } else if (word == "groups") {
      for (uint32_t &group : group_) file >> group;
    } else if (word == "table") {
      Table table{};
      file >> table.level >> std::hex >> table.function >> std::dec >> table.output;
      for (Id &input : table.inputs) file >> input;
      for (uint16_t &delay : table.delays) file >> delay, delay = std::max<uint16_t>(1, delay);
      std::vector<uint32_t> wire(INPUTS);
      for (uint32_t &delay : wire) file >> delay;
      for (unsigned pin = 0; pin < INPUTS; pin++)
        if (table.inputs[pin] > HIGH)
          sinks[table.inputs[pin]].push_back({static_cast<uint32_t>(tables_.size()), static_cast<uint8_t>(pin), static_cast<uint16_t>(wire[pin])});
        else
          table.state |= table.inputs[pin] << pin;
      deepest = std::max(deepest, table.level);
      tables_.push_back(table);
    } else if (word == "flop") {
      FlipFlop flop{};
      bool initial = false;
      file >> flop.data >> flop.enable >> flop.reset >> flop.output >> flop.enable_level >> flop.reset_level >> flop.reset_value >> flop.reset_needs_enable >> initial;
      value_[flop.output] = initial;
      flip_flops_.push_back(flop);
    } else if (word == "block") {
      std::string kind;
      size_t in = 0, out = 0;
      uint32_t level = 0, delay = 0, wire = 0, reads = NEVER, writes = NEVER;
      file >> kind >> level >> delay >> wire >> reads >> writes >> in;
      std::vector<Id> inputs, outputs;
      ids(inputs, in);
      file >> out;
      ids(outputs, out);
      std::unique_ptr<Block> block;
      if (kind == "ram40") {
        auto ram = std::make_unique<IceRam>();
        file >> ram->read_mode >> ram->write_mode;
        fill(file, ram->words);
        block = std::move(ram);
      } else if (kind == "spram") {
        block = std::make_unique<SinglePortRam>();
      } else if (kind == "dp16kd") {
        auto ram = std::make_unique<LatticeRam>();
        file >> ram->width[0] >> ram->width[1] >> ram->mode[0] >> ram->mode[1];
        fill(file, ram->bytes);
        block = std::move(ram);
      } else if (kind == "dpr16x4") {
        auto ram = std::make_unique<TableRam>();
        fill(file, ram->words);
        block = std::move(ram);
      } else if (kind == "mult18") {
        block = std::make_unique<Multiplier>();
      } else if (kind == "mac16") {
        auto dsp = std::make_unique<Dsp>();
        Dsp::Mode &mode = dsp->mode;
        for (unsigned *field : {&mode.c_reg, &mode.a_reg, &mode.b_reg, &mode.d_reg, &mode.top_reg, &mode.bottom_reg, &mode.pipe1,
                                &mode.pipe2, &mode.top_output, &mode.top_lower, &mode.top_upper, &mode.top_carry, &mode.bottom_output,
                                &mode.bottom_lower, &mode.bottom_upper, &mode.bottom_carry, &mode.bytes, &mode.a_signed, &mode.b_signed})
          file >> *field;
        block = std::move(dsp);
      } else {
        throw std::runtime_error("block " + kind);
      }
      block->inputs = inputs, block->outputs = outputs, block->level = level, block->delay = delay;
      block->reads = reads, block->writes = writes, block->number = static_cast<uint32_t>(blocks_.size());
      deepest = std::max(deepest, level);
      if (level)
        for (const Id input : inputs)
          if (input > HIGH) sinks[input].push_back({static_cast<uint32_t>(blocks_.size()) | 1u << 31, 0, static_cast<uint16_t>(wire)});
      blocks_.push_back(std::move(block));
    } else {
      throw std::runtime_error("line " + word);
    }
  }
  // Blocks are numbered behind the tables, whose number is known only now.
  for (Id net = 0; net < nets; net++) {
    sink_begin_.push_back(static_cast<uint32_t>(sinks_.size()));
    for (Sink sink : sinks[net]) {
      if (sink.cell >> 31) sink.cell = (sink.cell & ~(1u << 31)) + static_cast<uint32_t>(tables_.size());
      sinks_.push_back(sink);
    }
  }
  sink_begin_.push_back(static_cast<uint32_t>(sinks_.size()));
  levels_.resize(deepest + 1), wheel_.resize(delayed_ ? WHEEL : 0);
  before_.assign(nets, 0);
  // Settle the initial values, from all nets low, without delays.
  const std::vector<uint8_t> initial = value_;
  std::fill(value_.begin(), value_.end(), 0);
  value_[HIGH] = 1, last_ = value_;
  for (Id net = 2; net < nets; net++)
    if (initial[net]) launch(net, true, 0);
  for (uint32_t cell = 0; cell < tables_.size() + blocks_.size(); cell++) queue(cell);
  propagate_settled();

  in_ports_.reserve(lines.size()), out_data_.reserve(lines.size());
  names_.reserve(lines.size());
  for (const PortLine &line : lines) {
    names_.push_back(line.name);
    const auto bits = static_cast<uint32_t>(line.nets.size()), bytes = std::max(1u, (bits + 7) / 8);
    if (line.input && bits == 1 && line.nets[0] == clock) {
      ports.push_back({names_.back().c_str(), &clock_data_, 1, 1});
    } else if (line.input) {
      in_ports_.push_back({line.nets, std::vector<uint8_t>(bytes)});
      ports.push_back({names_.back().c_str(), in_ports_.back().data.data(), bits, bytes});
    } else {
      out_data_.emplace_back(bytes);
      out_ports_.push_back({line.nets, out_data_.back().data(), bytes});
      ports.push_back({names_.back().c_str(), out_data_.back().data(), bits, bytes});
    }
  }
}

// The netlist lies beside the library.
std::unique_ptr<Model> make_model(uint64_t) {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void *>(&make_model), &info)) return nullptr;
  const std::string library = info.dli_fname;
  return std::make_unique<Gates>(library.substr(0, library.rfind('/') + 1) + "netlist.txt");
}

}  // namespace snnhw

using snnhw::Gates;

extern "C" {

// Sizes: nets, groups, counted cycles, picoseconds (in units of the delays) of the slowest settling.
void gates_sizes(void *model, uint64_t *sizes) {
  const Gates &gates = *static_cast<Gates *>(static_cast<snnhw::Model *>(model));
  sizes[0] = gates.nets(), sizes[1] = gates.group_count(), sizes[2] = gates.cycles(), sizes[3] = gates.slowest();
}

// For each net its toggles, those that a settled cycle shows, and the cycles in which it ended high; then (samples, groups).
void gates_activity(void *model, uint64_t *toggles, uint64_t *settled, uint64_t *highs, uint64_t *groups, uint64_t samples) {
  const Gates &gates = *static_cast<Gates *>(static_cast<snnhw::Model *>(model));
  std::copy_n(gates.toggles(), gates.nets(), toggles);
  std::copy_n(gates.settled(), gates.nets(), settled);
  for (uint64_t net = 0; net < gates.nets(); net++) highs[net] = gates.high(static_cast<uint32_t>(net));
  std::copy_n(gates.groups(), samples * gates.group_count(), groups);
}

// Run a design without streams: hold the inputs, tick the clock. Returns 0, or 1 when a port is missing.
uint64_t gates_free_run(void *model, const char *clock, const char **names, const uint64_t *values, uint64_t inputs, uint64_t warm,
                        uint64_t cycles) {
  auto &gates = *static_cast<snnhw::Model *>(model);
  const auto find = [&](const char *name) {
    return std::find_if(gates.ports.begin(), gates.ports.end(), [&](const snnhw::Port &port) { return !std::strcmp(port.name, name); });
  };
  const auto tick = find(clock);
  if (tick == gates.ports.end()) return 1;
  for (uint64_t index = 0; index < inputs; index++) {
    const auto port = find(names[index]);
    if (port == gates.ports.end()) return 1;
    port->set(values[index]);
  }
  for (uint64_t cycle = 0; cycle < warm + cycles; cycle++) {
    if (cycle == warm) gates.begin_activity(1);
    gates.begin_cycle(0, cycle >= warm);
    gates.settle();
    tick->set(1);
    gates.settle();
    tick->set(0);
  }
  return 0;
}

// The model alone, for designs that the harness does not know.
void *gates_open() {
  try {
    return snnhw::make_model(0).release();
  } catch (const std::exception &) {
    return nullptr;
  }
}
void gates_close(void *model) { delete static_cast<snnhw::Model *>(model); }
}
