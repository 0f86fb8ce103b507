// The run of many samples through a design, as a C interface that Python reaches through ctypes.
#pragma once
#include <cstdint>

extern "C" {

// Rules a design can break. The numbers are part of the interface.
enum SnnhwViolation : uint32_t {
  SNNHW_NONE = 0,
  SNNHW_VALID_DROPPED = 1,      // tvalid fell before the beat was taken
  SNNHW_PAYLOAD_CHANGED = 2,    // tdata, tlast or tuser changed while the beat waited
  SNNHW_NOT_ASCENDING = 3,      // addresses of a timestep do not ascend
  SNNHW_OUT_OF_RANGE = 4,       // an address is not that of a neuron
  SNNHW_TICK_PAYLOAD = 5,       // tdata of a tick is not 0
  SNNHW_WRONG_TUSER = 6,        // tuser of a tick is not that of the input tick
  SNNHW_NO_PROGRESS = 7,        // nothing was taken, given or updated for too long
  SNNHW_EARLY_EVENT = 8,        // an event was taken before the weights were loaded
  SNNHW_EXTRA_TRACE = 9,        // more neuron updates than timesteps times neurons
  SNNHW_EXTRA_BEAT = 10,        // a beat after the last tick
  SNNHW_TICK_TOO_EARLY = 11,    // an output tick before its input tick was taken
  SNNHW_READ_OUTSIDE = 12,      // a memory was read beyond its depth
  SNNHW_RESULT_CHANGED = 13,    // a result fell or changed while it waited
  SNNHW_RESULT_PAYLOAD = 14,    // tlast of a result is low
  SNNHW_EXTRA_RESULT = 15,      // a result before the last input tick of its sample, or after the last sample
};

// Everything a run needs and returns. Arrays belong to the caller; samples, timesteps, neurons in C order.
struct SnnhwJob {
  // Stimulus: events begin[k] to begin[k + 1] come at timestep k % steps of sample k / steps, as tdata has them.
  const uint64_t *begin;
  const uint64_t *events;
  uint64_t samples;
  uint64_t steps;
  // Words of the loading stream, `word_bytes` bytes each.
  const uint8_t *words;
  uint64_t word_count;
  uint64_t word_bytes;
  // Neurons of each layer.
  uint64_t layers;
  const uint64_t *neurons;
  // The layer whose events come out, and the parts of such an event: address below, signed value above; 0 bits for the value 1.
  uint64_t output_layer;
  uint64_t output_address_bits;
  uint64_t output_value_bits;
  // Bytes of a result; 0 for an accelerator that does not decide.
  uint64_t result_bytes;
  // Conduct. Stalls are chances of 65536 in each cycle; `isolated` waits for the last output tick of a sample
  // before the next is sent, and for `rest` more cycles. `abort_cycles` runs so many cycles first, then resets in the middle of it.
  uint64_t isolated;
  uint64_t rest;
  uint64_t source_stall;
  uint64_t sink_stall;
  uint64_t seed;
  uint64_t patience;
  uint64_t abort_cycles;
  // Results. `spikes` and `membranes` hold one array for each layer, `membranes` may be null, and `spikes` come
  // filled with a mark for "never written". `counts` is (samples, columns), and comes filled with 0. Of all cycles up to
  // the last tick of a sample and the rest behind it, since the sample before, it has: the sum of each port whose name
  // begins with "count"; the transfers of each pair of ports "pass..._valid" and "pass..._ready"; of each layer with ports
  // "state<k>_..." the events that leave. Of the cycles from the first transfer in to the last tick out it then has, of the
  // same layer: those in which its adders wait, in which its output does, that are busy, that are stalled, that are idle.
  // `results` is (samples, result_bytes).
  uint8_t *const *spikes;
  int32_t *const *membranes;
  int32_t *output;
  uint64_t *cycles;
  uint64_t *counts;
  uint8_t *results;
  uint64_t activity;
  uint64_t total_cycles;
  uint64_t violation;
  uint64_t violation_cycle;
  uint64_t violation_sample;
  uint64_t violation_step;
};

// Make an instance of one of the designs of this library, with the harness round it; null when a port is missing.
void *snnhw_open(uint64_t design);
void snnhw_close(void *simulation);

// The model inside, for what only its own library knows.
void *snnhw_model(void *simulation);

// Reset the design, load its weights, run the samples. Returns the violation, 0 for none.
uint64_t snnhw_run(void *simulation, SnnhwJob *job);

// Nets whose activity the last run counted. `toggles` and `highs` hold `bits` numbers. `same_as` is the
// index of the first net with the same storage, or its own.
uint64_t snnhw_nets(void *simulation);
const char *snnhw_net(void *simulation, uint64_t index, uint64_t *bits, uint64_t *same_as, const uint64_t **toggles,
                      const uint64_t **highs);
}
