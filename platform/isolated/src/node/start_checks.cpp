// What a node finds out about itself before it listens.
#include "node/start_checks.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "troupe/platform/device_context.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/isolated.hpp"

namespace troupe::platform::isolation {
namespace {

/// A chip in use takes four sockets, two wake-ups and a process; guests at the door, modules and windows take
/// some for a while.
Result<void> has_descriptors(const NodeOptions& options) {
  constexpr std::uint64_t of_a_chip = 8, beside = 32;
  const auto needed = beside + of_a_chip * static_cast<std::uint64_t>(options.chips) + options.modules.size();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return {};
  return Error(Errc::system,
               "a node with " + std::to_string(options.chips) + (options.chips == 1 ? " chip" : " chips") +
                   " needs " + std::to_string(needed) + " descriptors, and may have " +
                   std::to_string(limit.rlim_cur),
               "ulimit -n " + std::to_string(needed));
}

Result<void> has_devices(const NodeOptions& options, DeviceContext& context) {
  const auto properties = context.properties();
  if (!properties) return properties.error();
  // The platform says why there is none.
  if (properties->device_count == 0) return context.set_device(options.first_device);
  const auto end =
      static_cast<std::uint64_t>(options.first_device) + static_cast<std::uint64_t>(options.chips);
  auto there = properties->device_count;
  if (end > there) {
    // Chips may share devices, where the platform can do that.
    (void)context.set_option("chips", std::to_string(end));
    const auto shared = context.properties();
    if (shared) there = std::max(there, shared->device_count);
  }
  if (end <= there) return {};
  return Error(Errc::no_such_device,
               "the chips would be devices " + std::to_string(options.first_device) + " to " +
                   std::to_string(end - 1) + ", and the platform has devices 0 to " +
                   std::to_string(there - 1),
               "fewer --chips, or another --first-device");
}

}  // namespace

Result<void> can_serve(const NodeOptions& options, const std::string& library) {
  if (options.chips < 1) return Error(Errc::invalid_argument, "a node has one chip at least");
  if (options.first_device < 0) {
    return Error(Errc::invalid_argument, "there is no device number " + std::to_string(options.first_device));
  }
  if (auto enough = has_descriptors(options); !enough) return enough;
  auto api = isolated({library, {}, {}, options.program});
  if (!api) return api.error();
  const auto without = [&](const Error& why) {
    return Error(why.code(), "a node cannot serve with platform '" + options.platform + "'").caused_by(why);
  };
  auto context = DeviceContext::create(*std::move(api), std::make_shared<HostThreads>());
  if (!context) return without(context.error());
  if (const auto devices = has_devices(options, *context); !devices) return without(devices.error());
  if (const auto closed = context->close(); !closed) return without(closed.error());
  return {};
}

}  // namespace troupe::platform::isolation
