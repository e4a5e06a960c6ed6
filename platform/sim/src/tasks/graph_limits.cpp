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

using Numbers = GraphLimits::PerArena<std::uint64_t>;

/// One number for all arenas, or one for each.
std::optional<Numbers> parse(std::string_view text, std::uint64_t least, std::uint64_t most,
                             bool powers_of_two) {
  Numbers numbers{};
  std::size_t count = 0;
  while (count < numbers.size()) {
    std::uint64_t& number = numbers[count++];
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec != std::errc() || number < least || number > most) return std::nullopt;
    if (powers_of_two && !std::has_single_bit(number)) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
    if (text.empty()) break;
    if (text.front() != ',') return std::nullopt;
    text.remove_prefix(1);
    if (count == numbers.size()) return std::nullopt;
  }
  if (count == 1) numbers.fill(numbers.front());
  return count == 1 || count == numbers.size() ? std::optional(numbers) : std::nullopt;
}

std::optional<Numbers> numbers_from(const HostServices& host, const char* name, std::uint64_t least,
                                    std::uint64_t most, bool powers_of_two) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here changes the environment
  if (text == nullptr) return std::nullopt;
  auto numbers = parse(text, least, most, powers_of_two);
  if (numbers) return numbers;
  host.log(TROUPE_LOG_WARNING, 0,
           std::string(name) + "=" + text + " is ignored: expected " +
               (powers_of_two ? "a power of 2, " : "a number, ") + "at least " + std::to_string(least) +
               ", or four of them");
  return std::nullopt;
}

std::uint64_t largest(const Numbers& numbers) noexcept {
  return *std::max_element(numbers.begin(), numbers.end());
}

}  // namespace

GraphLimits GraphLimits::from_environment(const HostServices& host, std::uint64_t device_memory) {
  using namespace runtime;
  GraphLimits found;
  constexpr std::uint64_t most = std::uint64_t{1} << 31;
  found.windows.fill(found.task_window);
  if (auto windows = numbers_from(host, "PTO2_RING_TASK_WINDOW", limits::min_task_window, most, true)) {
    found.windows = *windows;
    found.task_window = static_cast<std::uint32_t>(largest(*windows));
  }
  // The four arenas leave half of the memory to the user.
  const std::uint64_t share = std::max<std::uint64_t>(device_memory / 8, limits::min_arena_bytes);
  found.arena_bytes = std::min(found.arena_bytes, share / limits::block_alignment * limits::block_alignment);
  found.arenas.fill(found.arena_bytes);
  if (auto heaps = numbers_from(host, "PTO2_RING_HEAP", limits::min_arena_bytes, device_memory, true)) {
    found.arenas = *heaps;
    found.arena_bytes = largest(*heaps);
  }
  if (auto pools = numbers_from(host, "PTO2_RING_DEP_POOL", limits::min_dependency_pool, most, false)) {
    found.dependency_pool = static_cast<std::uint32_t>(largest(*pools));
  }
  return found;
}

namespace {

/// Takes what was said over; false: one of them makes no sense.
bool take(GraphLimits::PerArena<std::uint64_t>& into, const std::uint64_t (&said)[runtime::limits::arenas],
          std::uint64_t least, std::uint64_t most, bool powers_of_two) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    if (said[i] == 0) continue;
    if (said[i] < least || said[i] > most || (powers_of_two && !std::has_single_bit(said[i]))) return false;
    into[i] = said[i];
  }
  return true;
}

Error no_ring(const char* what, const char* expected) {
  return {runtime::Errc::invalid_call_config, std::string("ring sizes that make no sense: ") + what,
          std::string("expected ") + expected + ", 0 for the default"};
}

}  // namespace

Result<GraphLimits> GraphLimits::with(const RingSizes& rings) const {
  using namespace runtime;
  GraphLimits found = *this;
  constexpr std::uint64_t most = std::uint64_t{1} << 31;
  if (!take(found.windows, rings.task_window, limits::min_task_window, most, true))
    return no_ring("its task window", "powers of 2, at least 4");
  if (!take(found.arenas, rings.heap, limits::min_arena_bytes, std::uint64_t{1} << 40, false))
    return no_ring("its heap", "numbers of bytes, at least 1024");
  PerArena<std::uint64_t> pools{};
  pools.fill(dependency_pool);
  if (!take(pools, rings.dependency_pool, limits::min_dependency_pool, most, false))
    return no_ring("its dependency pool", "numbers, at least 4");
  for (auto& arena : found.arenas) arena = arena / limits::block_alignment * limits::block_alignment;
  if (found.windows != windows) found.task_window = static_cast<std::uint32_t>(largest(found.windows));
  found.arena_bytes = std::max(arena_bytes, largest(found.arenas));
  found.dependency_pool = static_cast<std::uint32_t>(largest(pools));
  return found;
}

}  // namespace troupe::platform::sim
