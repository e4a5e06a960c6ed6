#include "options.hpp"

#include <string>

namespace troupe::platform::sim {

Result<void> Options::set(std::string_view name, std::string_view value) {
  const GivenOption option(name, value);
  const auto known = ChipOptions::set(option, architecture.memory_bytes);
  if (!known) return known.error();
  if (*known) return {};
  if (name != "workers") return option.unknown({"workers"});
  const auto given = option.number(0, architecture.cores(), "0.." + std::to_string(architecture.cores()));
  if (!given) return given.error();
  workers = static_cast<std::uint32_t>(*given);
  return {};
}

}  // namespace troupe::platform::sim
