#include "tasks/graph_limits.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::platform::sim {

namespace {

std::optional<std::uint64_t> number_from(const HostServices& host, const char* name, std::uint64_t least,
                                         std::uint64_t most, bool power_of_two) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here changes the environment
  if (text == nullptr) return std::nullopt;
  const std::string_view value(text);
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool good = parsed.ec == std::errc() && parsed.ptr == value.data() + value.size() &&
                    number >= least && number <= most && (!power_of_two || std::has_single_bit(number));
  if (good) return number;
  host.log(TROUPE_LOG_WARNING, 0,
           std::string(name) + "=" + text + " is ignored: expected " +
               (power_of_two ? "a power of 2, " : "a number, ") + "at least " + std::to_string(least));
  return std::nullopt;
}

}  // namespace

GraphLimits GraphLimits::from_environment(const HostServices& host, std::uint64_t device_memory) {
  using namespace runtime;
  GraphLimits found;
  constexpr std::uint64_t most = std::uint64_t{1} << 31;
  if (auto window = number_from(host, "PTO2_RING_TASK_WINDOW", limits::min_task_window, most, true)) {
    found.task_window = static_cast<std::uint32_t>(*window);
  }
  // The four arenas leave half of the memory to the user.
  const std::uint64_t share = std::max<std::uint64_t>(device_memory / 8, limits::min_arena_bytes);
  found.arena_bytes = std::min(found.arena_bytes, share / limits::block_alignment * limits::block_alignment);
  if (auto heap = number_from(host, "PTO2_RING_HEAP", limits::min_arena_bytes, device_memory, true)) {
    found.arena_bytes = *heap;
  }
  if (auto pool = number_from(host, "PTO2_RING_DEP_POOL", limits::min_dependency_pool, most, false)) {
    found.dependency_pool = static_cast<std::uint32_t>(*pool);
  }
  return found;
}

}  // namespace troupe::platform::sim
