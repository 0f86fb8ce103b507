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

struct Tracer {
  Port valid, neuron, membrane, spike;
  uint64_t neurons;
  uint8_t *spikes;
  int32_t *membranes;
  uint64_t base, count;  // first word of the timestep; updates of it so far
};

class Simulation {
 public:
  explicit Simulation(uint64_t design) : model_(make_model(design)) {
    for (const Port &port : model_->ports) {
      ports_[port.name] = port;
      if (!std::strncmp(port.name, "count", 5)) watched_.push_back(port);
    }
    clock_ = at("aclk"), resetn_ = at("aresetn");
    s_valid_ = at("s_axis_tvalid"), s_ready_ = at("s_axis_tready"), s_data_ = at("s_axis_tdata");
    s_last_ = at("s_axis_tlast"), s_user_ = at("s_axis_tuser");
    m_valid_ = at("m_axis_tvalid"), m_ready_ = at("m_axis_tready"), m_data_ = at("m_axis_tdata");
    m_last_ = at("m_axis_tlast"), m_user_ = at("m_axis_tuser");
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

  void edge() {
    clock_.set(1);
    model_->settle();
    clock_.set(0);
    cycle_++;
  }

  void reset() {
    s_valid_.set(0), s_last_.set(0), s_user_.set(0), s_data_.set(0), m_ready_.set(0);
    if (ports_.count("s_axis_weights_tvalid")) at("s_axis_weights_tvalid").set(0);
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
    s_valid_.set(1);
    uint64_t waited = 0;
    for (uint64_t word = 0; word < job_->word_count;) {
      const bool offered = valid.high() || !random_.chance(job_->source_stall);
      valid.set(offered);
      const uint64_t bytes = data.bytes < job_->word_bytes ? data.bytes : job_->word_bytes;
      std::memcpy(data.data, job_->words + word * job_->word_bytes, bytes);
      model_->settle();
      if (s_ready_.high()) return violate(SNNHW_EARLY_EVENT, 0, 0);
      const bool taken = offered && ready.high();
      edge();
      if (taken) word++, valid.set(0);
      waited = taken ? 0 : waited + 1;
      if (waited > job_->patience) return violate(SNNHW_NO_PROGRESS, 0, 0);
    }
    valid.set(0), s_valid_.set(0);
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
    const SnnhwJob &job = *job_;
    const bool record = limit == 0, noisy = job.source_stall != 0;
    const uint64_t ticks = job.samples * job.steps, outputs = job.neurons[job.layers - 1];
    std::vector<Tracer> tracers;
    for (uint64_t layer = 0; record && layer < job.layers; layer++) {
      const std::string name = "trace" + std::to_string(layer) + "_";
      if (!ports_.count(name + "valid")) continue;  // a netlist, which has its outputs only
      tracers.push_back({at(name + "valid"), at(name + "neuron"), at(name + "membrane"), at(name + "spike"), job.neurons[layer],
                         job.spikes[layer], job.membranes ? job.membranes[layer] : nullptr, 0, 0});
    }
    uint64_t sent = 0, event = job.begin[0], received = 0, lowest = 0;  // ticks sent and received, next event, next legal address
    uint64_t first = 0, idle = 0, spare = 0;                            // cycle of a sample's first beat; cycles without progress
    bool offered = false, begun = false, stalled = false;
    uint64_t held_data = 0;
    bool held_last = false, held_user = false;
    const uint64_t end = cycle_ + limit;
    std::vector<uint64_t> counts(watched_.size());

    while (record ? received < ticks || spare++ < 8 : cycle_ != end) {
      // Source: a beat once offered stays until it is taken.
      const bool open = sent < ticks && (!job.isolated || sent / job.steps == received / job.steps);
      if (!offered && open && !(job.source_stall && random_.chance(job.source_stall))) {
        offered = true;
        const bool tick = event == job.begin[sent + 1];
        s_last_.set(tick);
        s_user_.set(tick && (sent + 1) % job.steps == 0);
        s_data_.set(!tick ? job.addresses[event] : noisy ? random_.next() : 0);
      } else if (!offered && noisy) {
        s_last_.set(random_.next() & 1), s_user_.set(random_.next() & 1), s_data_.set(random_.next());
      }
      s_valid_.set(offered);
      const bool willing = !(job.sink_stall && random_.chance(job.sink_stall));
      m_ready_.set(willing);
      model_->settle();

      const bool taken = offered && s_ready_.high(), valid = m_valid_.high();
      bool progress = taken;
      if (taken && !begun) begun = true, first = cycle_;
      if (stalled && !valid) violate(SNNHW_VALID_DROPPED, received / job.steps, received % job.steps);
      if (valid) {
        const uint64_t data = m_data_.get(), sample = received / job.steps, step = received % job.steps;
        const bool last = m_last_.high(), user = m_user_.high();
        if (stalled && (data != held_data || last != held_last || user != held_user)) violate(SNNHW_PAYLOAD_CHANGED, sample, step);
        held_data = data, held_last = last, held_user = user;
        if (received == ticks) {
          violate(SNNHW_EXTRA_BEAT, sample, step);
        } else if (willing) {
          progress = true;
          if (!last) {
            if (data >= outputs) violate(SNNHW_OUT_OF_RANGE, sample, step);
            else if (data < lowest) violate(SNNHW_NOT_ASCENDING, sample, step);
            else if (record) job.output[received * outputs + data] = 1;
            lowest = data + 1;
          } else {
            if (data) violate(SNNHW_TICK_PAYLOAD, sample, step);
            if (user != (step + 1 == job.steps)) violate(SNNHW_WRONG_TUSER, sample, step);
            if (received >= sent) violate(SNNHW_TICK_TOO_EARLY, sample, step);
            lowest = 0;
            received++;
          }
        }
      }
      stalled = valid && !willing;

      for (Tracer &tracer : tracers) {
        if (!tracer.valid.high()) continue;
        progress = true;
        const uint64_t neuron = tracer.neuron.get(), word = tracer.base + neuron;
        if (neuron >= tracer.neurons || tracer.base >= ticks * tracer.neurons) {
          violate(SNNHW_EXTRA_TRACE, received / job.steps, received % job.steps);
          continue;
        }
        tracer.spikes[word] = tracer.spike.high();
        if (tracer.membranes) tracer.membranes[word] = static_cast<int32_t>(tracer.membrane.get_signed());
        if (++tracer.count == tracer.neurons) tracer.base += tracer.neurons, tracer.count = 0;
      }
      for (size_t index = 0; index < watched_.size(); index++) counts[index] += watched_[index].high();
      if (record && job.activity && spare == 0) {
        model_->settle_nets();
        for (uint64_t index : counted_) counters_[index].count(cycle_ - start_);
      }
      edge();
      if (spare == 0) job_->total_cycles = cycle_ - start_;

      const bool finished = begun && valid && willing && held_last && received % job.steps == 0;
      if (finished && record && !job.violation) {
        const uint64_t sample = received / job.steps - 1;
        for (size_t index = 0; index < watched_.size(); index++) job.counts[sample * watched_.size() + index] = counts[index];
        std::fill(counts.begin(), counts.end(), 0);
        if (job.isolated) job.cycles[sample] = cycle_ - first, begun = false;
      }
      if (taken) {
        offered = false;
        if (event == job.begin[sent + 1]) sent++;
        else event++;
      }
      idle = progress ? 0 : idle + 1;
      if (idle > job.patience) violate(SNNHW_NO_PROGRESS, received / job.steps, received % job.steps);
      if (job.violation) return;
    }
  }

  std::unique_ptr<Model> model_;
  std::map<std::string, Port> ports_;
  Port clock_, resetn_, s_valid_, s_ready_, s_data_, s_last_, s_user_, m_valid_, m_ready_, m_data_, m_last_, m_user_;
  std::vector<Counter> counters_;
  std::vector<uint64_t> counted_;
  std::vector<Port> watched_;
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
