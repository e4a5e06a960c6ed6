#pragma once

#include <memory>

#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"

namespace troupe::bench {

/// A simulated chip with two workers, ready: what is measured on a chip is measured on such a one.
inline platform::DeviceContext bench_chip() {
  auto library = platform::DeviceLibrary::open(TROUPE_BENCH_PLATFORM).value();
  auto context =
      platform::DeviceContext::create(library.api(), std::make_shared<platform::HostThreads>()).value();
  context.set_option("workers", "2").value();
  context.set_device(0).value();
  return context;
}

}  // namespace troupe::bench
