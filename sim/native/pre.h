// Precompiled: most of the time of a small build goes into this header.
#include <stdexcept>

// A read beyond a memory's depth is a mistake of the design, and ends the run. For writes CXXRTL looks at the
// address even while they are disabled, which is no mistake. The texts end in `read"` and `write"`.
#define CXXRTL_ASSERT(condition)                                                  \
  do {                                                                            \
    if (sizeof(#condition) < 3 || #condition[sizeof(#condition) - 3] != 'd') break; \
    if (!(condition)) throw std::out_of_range(#condition);                        \
  } while (0)

#include <cxxrtl/cxxrtl.h>
