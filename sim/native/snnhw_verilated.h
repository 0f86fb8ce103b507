// A design compiled by Verilator, as a Model.
#pragma once
#include "model.h"
#include "verilated.h"

namespace snnhw {

template <class Top>
class Verilated : public Model {
 public:
  Verilated() : top(&context_) {}
  ~Verilated() override { top.final(); }

  void settle() override { top.eval(); }

  template <class Storage>
  void port(const char *name, Storage &storage, uint32_t bits) { ports.push_back({name, &storage, bits, sizeof(storage)}); }

 private:
  VerilatedContext context_;

 public:
  Top top;
};

}  // namespace snnhw
