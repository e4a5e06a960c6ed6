#include "threads/cannot_go_on.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {

void cannot_go_on() noexcept {
  const auto what = runtime::text_of(std::current_exception());
  (void)std::fprintf(stderr, "troupe: an actor cannot go on: %s\n", what.c_str());
  std::abort();
}

}  // namespace troupe::actors
