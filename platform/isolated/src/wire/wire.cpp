#include "wire/wire.hpp"

#include <cstring>

namespace troupe::platform::isolation {

Hello this_build() noexcept {
  Hello hello;
  // The same sources, compiled for both ends.
  std::strncpy(hello.build, TROUPE_ISOLATED_BUILD, sizeof hello.build - 1);
  return hello;
}

}  // namespace troupe::platform::isolation
