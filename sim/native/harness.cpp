// Engine-independent half of the native simulators: drives the streams, records, counts.
//
// A cycle is: inputs change with the falling edge, everything settles, handshakes and traces are
// read, then the rising edge. So each settled value is seen once, just before the edge that uses it.
#include "harness.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>

#include "model.h"

namespace snnhw {
namespace {

constexpr uint64_t SPARE_CYCLES = 8;  // after the last output, in which nothing may follow

// xorshift64*: small, seeded, the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 0x2545F4914F6CDD1Du) {
    if (state_ == 0) state_ = 1;
  }
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1Du;
  }
  bool chance(uint64_t of_65536) { return (next() >> 48) < of_65536; }

 private:
  uint64_t state_;
};

// Toggles and high cycles of each bit of a net. The cost of a cycle is that of its changes: a bit's
// high time is the sum of its falling times less the sum of its rising times.
struct Counter {
  Net net;
  uint64_t same_as;
  std::vector<uint32_t> previous;
  std::vector<uint64_t> toggles, highs, finished;

  void start() {
    previous.assign(net.value, net.value + net.chunks);
    toggles.assign(net.bits, 0);
    highs.assign(net.bits, 0);
  }
  void count(uint64_t cycle) {
    for (uint32_t chunk = 0; chunk < net.chunks; chunk++) {
      uint32_t changed = net.value[chunk] ^ previous[chunk];
      if (!changed) continue;
      previous[chunk] = net.value[chunk];
      for (; changed; changed &= changed - 1) {
        const unsigned bit = __builtin_ctz(changed);
        toggles[chunk * 32 + bit]++;
        highs[chunk * 32 + bit] += previous[chunk] >> bit & 1 ? -cycle : cycle;
      }
    }
  }
  uint64_t high(uint32_t bit, uint64_t cycle) const { return highs[bit] + (previous[bit / 32] >> (bit % 32) & 1 ? cycle : 0); }
};

// Bits that are 1 in `these`, and in `those` as often as `both` says.
uint64_t count_bits(const Port &these, const Port &those, bool both) {
  uint64_t found = 0;
  for (uint32_t first = 0; first < these.bytes; first += 8) {
    const uint32_t bytes = these.bytes - first < 8 ? these.bytes - first : 8;
    uint64_t left = 0, right = 0;
    std::memcpy(&left, static_cast<const uint8_t *>(these.data) + first, bytes);
    std::memcpy(&right, static_cast<const uint8_t *>(those.data) + first, bytes);
    found += __builtin_popcountll(left & (both ? right : ~right));
  }
  return found;
}

// Queues, a bit for each: a transfer is a bit that is 1 in both.
struct Transfers {
  Port valid, ready;
};

// What a core does in a cycle.
struct Core {
  static constexpr size_t COLUMNS = 6;
  Port valid, ready, tick, has, free, accumulate, finalise;

  // `counts`: events that leave, and, in the cycles of a sample, waiting adders, waiting output, busy, stalled, idle.
  void count(uint64_t *counts, bool within) const {
    counts[0] += valid.high() && ready.high() && !tick.high();
    if (!within) return;
    const uint64_t adders = count_bits(has, free, false);
    const bool output = valid.high() && !ready.high(), busy = accumulate.get() || finalise.high();
    counts[1] += adders, counts[2] += output;
    counts[busy ? 3 : adders || output ? 4 : 5]++;
  }
};

struct Tracer {
  Port valid, neuron, membrane, spike;
  uint64_t neurons;
  uint8_t *spikes;
  int32_t *membranes;
  uint64_t base, count;  // first word of the timestep; updates of it so far

  // Record the update of this cycle, if there is one; false when there is none left to expect.
  bool record(uint64_t words, bool &progress) {
    if (!valid.high()) return true;
    progress = true;
    const uint64_t word = base + neuron.get();
    if (neuron.get() >= neurons || base >= words) return false;
    spikes[word] = spike.high();
    if (membranes) membranes[word] = static_cast<int32_t>(membrane.get_signed());
    if (++count == neurons) base += neurons, count = 0;
    return true;
  }
};

// One side of an AXI4-Stream.
struct Stream {
  Port valid, ready, data, last, user;
};

// Sends the beats of a job. A beat once offered stays until it is taken.
class Source {
 public:
  Source(const SnnhwJob &job, const Stream &stream, Random &random) : job_(job), stream_(stream), random_(random), event_(job.begin[0]) {}

  // Put a beat on the stream, or none; `open` tells whether the next timestep may begin.
  void offer(bool open) {
    const bool noisy = job_.source_stall != 0;
    if (!offered_ && open && !(noisy && random_.chance(job_.source_stall))) {
      offered_ = true;
      stream_.last.set(tick());
      stream_.user.set(tick() && (ticks_ + 1) % job_.steps == 0);
      // What a tick carries as data means nothing, so it may be anything.
      stream_.data.set(!tick() ? job_.events[event_] : noisy ? random_.next() : 0);
    } else if (!offered_ && noisy) {
      stream_.last.set(random_.next() & 1), stream_.user.set(random_.next() & 1), stream_.data.set(random_.next());
    }
    stream_.valid.set(offered_);
  }

  bool taken() const { return offered_ && stream_.ready.high(); }

  // Go on to the next beat.
  void advance() {
    offered_ = false;
    if (tick()) ticks_++;
    else event_++;
  }

  uint64_t ticks() const { return ticks_; }  // that were taken
  bool left() const { return ticks_ < job_.samples * job_.steps; }

 private:
  bool tick() const { return event_ == job_.begin[ticks_ + 1]; }

  const SnnhwJob &job_;
  const Stream &stream_;
  Random &random_;
  uint64_t event_, ticks_ = 0;
  bool offered_ = false;
};

// Takes the output beats of a job, holds them against the rules of the stream, and records them.
class Sink {
 public:
  Sink(SnnhwJob &job, const Stream &stream, bool record)
      : job_(job), stream_(stream), record_(record), outputs_(job.neurons[job.output_layer]) {}

  // Look at the stream in a cycle in which the sink is `ready`; `sent` input ticks were taken before.
  SnnhwViolation look(bool ready, uint64_t sent) {
    const bool waited = waiting_;
    const uint64_t old_data = data_;
    const bool old_last = last_, old_user = user_, valid = stream_.valid.high();
    taken_ = valid && ready, waiting_ = valid && !ready;
    if (!valid) return waited ? SNNHW_VALID_DROPPED : SNNHW_NONE;
    data_ = stream_.data.get(), last_ = stream_.last.high(), user_ = stream_.user.high();
    if (waited && (data_ != old_data || last_ != old_last || user_ != old_user)) return SNNHW_PAYLOAD_CHANGED;
    if (ticks_ == job_.samples * job_.steps) return SNNHW_EXTRA_BEAT;
    if (!taken_) return SNNHW_NONE;
    if (last_) {
      const bool ends = (ticks_ + 1) % job_.steps == 0;
      const SnnhwViolation broken = data_ ? SNNHW_TICK_PAYLOAD : user_ != ends ? SNNHW_WRONG_TUSER : ticks_ >= sent ? SNNHW_TICK_TOO_EARLY : SNNHW_NONE;
      if (!broken) ticks_++, lowest_ = 0;
      return broken;
    }
    const uint64_t address = data_ & ((uint64_t{1} << job_.output_address_bits) - 1);
    if (address >= outputs_ || data_ >> job_.output_address_bits >> job_.output_value_bits) return SNNHW_OUT_OF_RANGE;
    if (address < lowest_) return SNNHW_NOT_ASCENDING;
    if (record_) job_.output[ticks_ * outputs_ + address] = value();
    lowest_ = address + 1;
    return SNNHW_NONE;
  }

  // Value of the event that is looked at.
  int32_t value() const {
    if (!job_.output_value_bits) return 1;
    const uint64_t bits = data_ >> job_.output_address_bits, sign = uint64_t{1} << (job_.output_value_bits - 1);
    return static_cast<int32_t>(static_cast<int64_t>(bits ^ sign) - static_cast<int64_t>(sign));
  }

  bool taken() const { return taken_; }
  bool ended_sample() const { return taken_ && last_ && ticks_ % job_.steps == 0; }
  uint64_t ticks() const { return ticks_; }  // that came out

 private:
  SnnhwJob &job_;
  const Stream &stream_;
  const bool record_;
  const uint64_t outputs_;
  uint64_t ticks_ = 0, lowest_ = 0, data_ = 0;  // lowest_: the next address that may come
  bool last_ = false, user_ = false, taken_ = false, waiting_ = false;
};

// Takes the results of a job: one beat for each sample.
class Results {
 public:
  Results(SnnhwJob &job, const Stream &stream, bool record)
      : job_(job), stream_(stream), record_(record), old_(job.result_bytes), left_(job.result_bytes ? job.samples : 0) {}

  // Look at the stream in a cycle in which it is `ready`; `sent` input ticks were taken before.
  SnnhwViolation look(bool ready, uint64_t sent) {
    if (!job_.result_bytes) return SNNHW_NONE;
    const auto *data = static_cast<const uint8_t *>(stream_.data.data);
    const bool waited = waiting_, valid = stream_.valid.high();
    taken_ = valid && ready, waiting_ = valid && !ready;
    if (waited && (!valid || !std::equal(old_.begin(), old_.end(), data))) return SNNHW_RESULT_CHANGED;
    if (!valid) return SNNHW_NONE;
    std::copy_n(data, job_.result_bytes, old_.begin());
    if (!left_ || sent < (given_ + 1) * job_.steps) return SNNHW_EXTRA_RESULT;
    if (!stream_.last.high()) return SNNHW_RESULT_PAYLOAD;
    if (!taken_) return SNNHW_NONE;
    if (record_) std::copy(old_.begin(), old_.end(), job_.results + given_ * job_.result_bytes);
    given_++, left_--;
    return SNNHW_NONE;
  }

  bool taken() const { return taken_; }
  bool left() const { return left_; }

 private:
  SnnhwJob &job_;
  const Stream &stream_;
  const bool record_;
  std::vector<uint8_t> old_;  // the beat that was looked at last
  uint64_t given_ = 0, left_;
  bool taken_ = false, waiting_ = false;
};

class Simulation {
 public:
  explicit Simulation(uint64_t design) : model_(make_model(design)) {
    for (const Port &port : model_->ports) {
      ports_[port.name] = port;
      if (!std::strncmp(port.name, "count", 5)) watched_.push_back(port);
    }
    for (const Port &port : model_->ports) {
      const std::string name = port.name;
      if (!name.compare(0, 4, "pass") && name.size() > 6 && !name.compare(name.size() - 6, 6, "_valid"))
        transfers_.push_back({port, at(name.substr(0, name.size() - 5) + "ready")});
    }
    for (uint64_t layer = 0; ports_.count("state" + std::to_string(layer) + "_valid"); layer++) {
      const std::string state = "state" + std::to_string(layer) + "_", count = "count" + std::to_string(layer) + "_";
      cores_.push_back({at(state + "valid"), at(state + "ready"), at(state + "tick"), at(state + "has"), at(state + "free"),
                        at(count + "accumulate"), at(count + "finalise")});
    }
    clock_ = at("aclk"), resetn_ = at("aresetn");
    in_ = stream_ports("s_axis_t"), out_ = stream_ports("m_axis_t");
    const std::string result = "m_axis_result_t";
    if (ports_.count(result + "valid"))
      result_ = {at(result + "valid"), at(result + "ready"), at(result + "data"), at(result + "last"), {}};
    std::map<const uint32_t *, uint64_t> first;
    for (Net &net : model_->nets()) {
      const uint64_t index = counters_.size();
      const uint64_t same_as = first.emplace(net.value, index).first->second;
      counters_.push_back({net, same_as, {}, {}, {}, {}});
      if (same_as == index) counted_.push_back(index);
    }
  }

  uint64_t run(SnnhwJob &job) {
    job_ = &job;
    random_ = Random(job.seed);
    job.violation = SNNHW_NONE;
    cycle_ = start_ = 0;
    try {
      conduct(job);
    } catch (const std::out_of_range &) {
      violate(SNNHW_READ_OUTSIDE, 0, 0);
    }
    return job.violation;
  }

  const std::vector<Counter> &counters() const { return counters_; }
  Model &model() { return *model_; }

 private:
  void conduct(SnnhwJob &job) {
    if (job.abort_cycles) {
      reset();
      load();
      stream(job.abort_cycles);
      if (job.violation) return;
    }
    reset();
    load();
    if (job.activity) {
      model_->settle_nets();
      model_->begin_activity(job.samples);
      for (uint64_t index : counted_) counters_[index].start();
    }
    start_ = cycle_;
    if (!job.violation) stream(0);
    for (uint64_t index : counted_) {
      Counter &counter = counters_[index];
      counter.finished.clear();
      if (job.activity)
        for (uint32_t bit = 0; bit < counter.net.bits; bit++) counter.finished.push_back(counter.high(bit, job.total_cycles));
    }
  }

  Port at(const std::string &name) const {
    const auto found = ports_.find(name);
    if (found == ports_.end()) throw std::runtime_error("no port " + name);
    return found->second;
  }

  Stream stream_ports(const std::string &prefix) const {
    return {at(prefix + "valid"), at(prefix + "ready"), at(prefix + "data"), at(prefix + "last"), at(prefix + "user")};
  }

  void edge() {
    clock_.set(1);
    model_->settle();
    clock_.set(0);
    cycle_++;
  }

  void reset() {
    in_.valid.set(0), in_.last.set(0), in_.user.set(0), in_.data.set(0), out_.ready.set(0);
    if (ports_.count("s_axis_weights_tvalid")) at("s_axis_weights_tvalid").set(0);
    if (result_.ready.data) result_.ready.set(0);
    resetn_.set(0);
    for (int i = 0; i < 4; i++) {
      model_->settle();
      edge();
    }
    resetn_.set(1);
    model_->settle();
  }

  // Send the words of the loading stream, with an event waiting that must not be taken before they are in.
  void load() {
    if (!job_->word_count) return;
    const Port valid = at("s_axis_weights_tvalid"), ready = at("s_axis_weights_tready"), data = at("s_axis_weights_tdata");
    in_.valid.set(1);
    uint64_t waited = 0;
    for (uint64_t word = 0; word < job_->word_count;) {
      const bool offered = valid.high() || !random_.chance(job_->source_stall);
      valid.set(offered);
      const uint64_t bytes = data.bytes < job_->word_bytes ? data.bytes : job_->word_bytes;
      std::memcpy(data.data, job_->words + word * job_->word_bytes, bytes);
      model_->settle();
      if (in_.ready.high()) return violate(SNNHW_EARLY_EVENT, 0, 0);
      const bool taken = offered && ready.high();
      edge();
      if (taken) word++, valid.set(0);
      waited = taken ? 0 : waited + 1;
      if (waited > job_->patience) return violate(SNNHW_NO_PROGRESS, 0, 0);
    }
    valid.set(0), in_.valid.set(0);
    model_->settle();
  }

  void violate(SnnhwViolation what, uint64_t sample, uint64_t step) {
    if (job_->violation) return;
    job_->violation = what;
    job_->violation_cycle = cycle_ - start_;
    job_->violation_sample = sample;
    job_->violation_step = step;
  }

  // Run all samples and some spare cycles, or `limit` cycles without recording anything when it is not 0.
  void stream(uint64_t limit) {
    SnnhwJob &job = *job_;
    const bool record = limit == 0;
    const uint64_t ticks = job.samples * job.steps, end = cycle_ + limit;
    Source source(job, in_, random_);
    Sink sink(job, out_, record);
    Results results(job, result_, record);
    std::vector<Tracer> tracers = record ? make_tracers() : std::vector<Tracer>();
    uint64_t first = 0, idle = 0, spare = 0;  // cycle of the first transfer of a sample; cycles without progress, behind the end
    uint64_t begin = 0;  // cycle from which the next sample may begin
    bool begun = false;

    while (record ? sink.ticks() < ticks || spare++ < SPARE_CYCLES + job.rest || results.left() : cycle_ != end) {
      const uint64_t sample = sink.ticks() / job.steps, step = sink.ticks() % job.steps;
      source.offer(source.left() && (!job.isolated || (source.ticks() / job.steps == sample && cycle_ >= begin)));
      const bool ready = !(job.sink_stall && random_.chance(job.sink_stall));
      out_.ready.set(ready);
      const bool decided = result_.ready.data && !(job.sink_stall && random_.chance(job.sink_stall));
      if (result_.ready.data) result_.ready.set(decided);
      const uint64_t owner = cycle_ < begin ? sample - 1 : sample;
      model_->begin_cycle(owner, record && job.activity && spare == 0);
      model_->settle();

      const bool taken = source.taken();
      if (taken && !begun) begun = true, first = cycle_;
      if (const SnnhwViolation broken = sink.look(ready, source.ticks())) violate(broken, sample, step);
      if (const SnnhwViolation broken = results.look(decided, source.ticks())) violate(broken, sample, step);
      bool progress = taken || sink.taken() || results.taken();
      for (Tracer &tracer : tracers)
        if (!tracer.record(ticks * tracer.neurons, progress)) violate(SNNHW_EXTRA_TRACE, sample, step);
      if (record && owner < job.samples) {
        uint64_t *counts = job.counts + owner * (watched_.size() + transfers_.size() + Core::COLUMNS * cores_.size());
        for (const Port &port : watched_) *counts++ += port.get();
        for (const Transfers &queue : transfers_) *counts++ += count_bits(queue.valid, queue.ready, true);
        for (const Core &core : cores_) core.count(counts, begun), counts += Core::COLUMNS;
      }
      if (record && job.activity && spare == 0) {
        model_->settle_nets();
        for (uint64_t index : counted_) counters_[index].count(cycle_ - start_);
      }
      edge();

      if (spare == 0) job.total_cycles = cycle_ - start_;
      if (record && sink.ended_sample() && job.isolated) {
        job.cycles[sample] = cycle_ - first, begun = false;
        begin = cycle_ + job.rest;
      }
      if (taken) source.advance();
      idle = progress ? 0 : idle + 1;
      if (idle > job.patience) violate(SNNHW_NO_PROGRESS, sample, step);
      if (job.violation) return;
    }
  }

  std::vector<Tracer> make_tracers() const {
    std::vector<Tracer> tracers;
    for (uint64_t layer = 0; layer < job_->layers; layer++) {
      const std::string name = "trace" + std::to_string(layer) + "_";
      if (!ports_.count(name + "valid")) continue;  // a netlist, which has its outputs only
      tracers.push_back({at(name + "valid"), at(name + "neuron"), at(name + "membrane"), at(name + "spike"), job_->neurons[layer],
                         job_->spikes[layer], job_->membranes ? job_->membranes[layer] : nullptr, 0, 0});
    }
    return tracers;
  }

  std::unique_ptr<Model> model_;
  std::map<std::string, Port> ports_;
  Port clock_, resetn_;
  Stream in_, out_, result_{};
  std::vector<Counter> counters_;
  std::vector<uint64_t> counted_;
  std::vector<Port> watched_;
  std::vector<Transfers> transfers_;
  std::vector<Core> cores_;
  Random random_{0};
  SnnhwJob *job_ = nullptr;
  uint64_t cycle_ = 0, start_ = 0;
};

}  // namespace
}  // namespace snnhw

using snnhw::Simulation;

void *snnhw_open(uint64_t design) {
  try {
    return new Simulation(design);
  } catch (const std::exception &) {
    return nullptr;
  }
}

void snnhw_close(void *simulation) { delete static_cast<Simulation *>(simulation); }

void *snnhw_model(void *simulation) { return &static_cast<Simulation *>(simulation)->model(); }

uint64_t snnhw_run(void *simulation, SnnhwJob *job) { return static_cast<Simulation *>(simulation)->run(*job); }

uint64_t snnhw_nets(void *simulation) { return static_cast<Simulation *>(simulation)->counters().size(); }

const char *snnhw_net(void *simulation, uint64_t index, uint64_t *bits, uint64_t *same_as, const uint64_t **toggles,
                      const uint64_t **highs) {
  const auto &counters = static_cast<Simulation *>(simulation)->counters();
  const auto &counter = counters[index], &counted = counters[counter.same_as];
  *bits = counter.net.bits;
  *same_as = counter.same_as;
  *toggles = counted.toggles.data();
  *highs = counted.finished.data();
  return counter.net.name.c_str();
}
