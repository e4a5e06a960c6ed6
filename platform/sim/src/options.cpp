#include "options.hpp"

#include <charconv>
#include <string>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

Result<void> Options::set(std::string_view name, std::string_view value) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool is_number = parsed.ec == std::errc() && parsed.ptr == value.data() + value.size();
  auto refuse = [&](const std::string& why) {
    return Error(Errc::unknown_option,
                 "option '" + std::string(name) + "' = '" + std::string(value) + "': " + why);
  };
  constexpr std::uint64_t longest_grace = 3'600'000;
  if (name == "grace_ms") {
    if (!is_number || number > longest_grace) return refuse("expected milliseconds, at most an hour");
    grace = std::chrono::milliseconds(number);
  } else if (name == "memory_bytes") {
    if (!is_number || number == 0 || number > architecture.memory_bytes) {
      return refuse("expected 1.." + std::to_string(architecture.memory_bytes));
    }
    memory_bytes = number;
  } else if (name == "checked") {
    if (!is_number || number > 1) return refuse("expected 0 or 1");
    checked = number == 1;
  } else if (name == "workers") {
    if (!is_number || number > architecture.cores()) {
      return refuse("expected 0.." + std::to_string(architecture.cores()));
    }
    workers = static_cast<std::uint32_t>(number);
  } else if (name == "several_communicators") {
    if (!is_number || number > 1) return refuse("expected 0 or 1");
    several_communicators = number == 1;
  } else {
    return refuse("this platform knows grace_ms, memory_bytes, checked, workers and several_communicators");
  }
  return {};
}

}  // namespace troupe::platform::sim
