// What the harness needs to know of a simulated design: its ports, and how to settle it.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace snnhw {

// One port of the top module, as the simulator stores it: little-endian, in `bytes` bytes.
struct Port {
  const char *name;
  void *data;
  uint32_t bits;
  uint32_t bytes;

  bool high() const { return *static_cast<const uint8_t *>(data) & 1; }

  uint64_t get() const {
    uint64_t value = 0;
    std::memcpy(&value, data, bytes < 8 ? bytes : 8);
    return value;
  }

  int64_t get_signed() const {
    const unsigned unused = 64 - bits;
    return static_cast<int64_t>(get() << unused) >> unused;
  }

  void set(uint64_t value) const {
    if (bits < 64) value &= (uint64_t{1} << bits) - 1;
    std::memcpy(data, &value, bytes < 8 ? bytes : 8);
  }
};

// One net whose activity is counted: `chunks` words of 32 bits.
struct Net {
  std::string name;
  const uint32_t *value;
  uint32_t bits;
  uint32_t chunks;
};

class Model {
 public:
  virtual ~Model() = default;

  // Propagate the inputs, and act on the clock edge if `aclk` changed.
  virtual void settle() = 0;

  // Every name of every net; other names of a net follow its first and have its pointer. Empty when the build has no names.
  virtual std::vector<Net> nets() { return {}; }

  // Bring values up to date that only a debugger looks at.
  virtual void settle_nets() {}

  // For models that count activity themselves: counting begins, all counts are 0; the cycle that comes now, of a sample.
  virtual void begin_activity(uint64_t samples) {}
  virtual void begin_cycle(uint64_t sample, bool counted) {}

  std::vector<Port> ports;
};

// Defined by the file that the designs of a build are compiled into.
std::unique_ptr<Model> make_model(uint64_t index);

}  // namespace snnhw
