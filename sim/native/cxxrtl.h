// A design compiled by Yosys' CXXRTL, as a Model.
#pragma once
#include "pre.h"

#include <algorithm>

#include "model.h"

namespace snnhw {

template <class Top>
class Cxxrtl : public Model {
 public:
  void settle() override { top.step(); }

  template <size_t bits>
  void port(const char *name, cxxrtl::value<bits> &value) { add(name, value.data, bits); }

  template <size_t bits>
  void port(const char *name, cxxrtl::wire<bits> &wire) { add(name, wire.curr.data, bits); }

  Top top;

 private:
  void add(const char *name, void *data, uint32_t bits) { ports.push_back({name, data, bits, (bits + 31) / 32 * 4}); }
};

// The same for a build that kept the names of its signals.
template <class Top>
class NamedCxxrtl : public Cxxrtl<Top> {
 public:
  std::vector<Net> nets() override {
    std::vector<Net> nets;
    this->top.debug_info(&items_, nullptr, "");
    for (const bool alias : {false, true}) {
      for (const auto &named : items_.table) {
        // A net in several parts, or a memory, has no one place to look at.
        if (named.second.size() != 1 || named.second[0].type == CXXRTL_MEMORY || named.second[0].width == 0) continue;
        const auto &item = named.second[0];
        if ((item.type == CXXRTL_ALIAS) != alias) continue;
        if (item.outline && std::find(outlines_.begin(), outlines_.end(), item.outline) == outlines_.end())
          outlines_.push_back(item.outline);
        nets.push_back({named.first, item.curr, static_cast<uint32_t>(item.width), static_cast<uint32_t>((item.width + 31) / 32)});
      }
    }
    return nets;
  }

  void settle_nets() override {
    for (auto *outline : outlines_) outline->eval();
  }

 private:
  cxxrtl::debug_items items_;
  std::vector<cxxrtl::debug_outline *> outlines_;
};

}  // namespace snnhw
