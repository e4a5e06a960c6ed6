#include "threads/cannot_go_on.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "troupe/runtime/thrown.hpp"

namespace troupe::actors {

void cannot_go_on(const char* whose) noexcept {
  const auto what = runtime::text_of(std::current_exception());
  (void)std::fprintf(stderr, "troupe: an actor (%s) cannot go on: %s\n", whose, what.c_str());
  std::abort();
}

}  // namespace troupe::actors
