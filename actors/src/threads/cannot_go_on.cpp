#include "threads/cannot_go_on.hpp"

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

namespace troupe::actors {

void cannot_go_on() noexcept {
  const char* what = "something that is no std::exception";
  bool of_memory = false;
  try {
    throw;
  } catch (const std::bad_alloc&) {
    what = "there is no more memory";
    of_memory = true;
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {  // NOLINT(bugprone-empty-catch): `what` says it
  }
  (void)std::fprintf(stderr, "troupe: an actor cannot go on: %s\n", what);
  rlimit limit{};
  if (of_memory && ::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    (void)std::fprintf(stderr,
                       "  hint: raise the limit: this process has %llu MiB of addresses (ulimit -v)\n",
                       static_cast<unsigned long long>(limit.rlim_cur >> 20U));
  }
  std::abort();
}

}  // namespace troupe::actors
