#pragma once

#include <unistd.h>

#include <atomic>
#include <string>

namespace troupe::test {

/// A shared-memory name that no other test of this machine uses at the same time.
inline std::string shared_name(const std::string& what) {
  static std::atomic<int> count{0};  // tests only
  return "/troupe-test-" + what + "-" + std::to_string(getpid()) + "-" + std::to_string(++count);
}

}  // namespace troupe::test
