#include "threads/cannot_go_on.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {

void cannot_go_on(const char* whose) noexcept {
  const auto what = runtime::text_of(std::current_exception());
  // There may be no memory for a sentence with the limit in it; this needs none.
  (void)std::fprintf(stderr, "troupe: %s cannot go on: %s\n  hint: is it limited? see ulimit -v\n", whose,
                     what.c_str());
  std::abort();
}

}  // namespace troupe::actors
