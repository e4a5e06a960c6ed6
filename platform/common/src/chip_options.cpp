#include "chip_options.hpp"

#include <charconv>
#include <vector>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/spelling.hpp"

namespace troupe::platform::common {

Result<std::uint64_t> GivenOption::number(std::uint64_t least, std::uint64_t most,
                                          const std::string& expected) const {
  std::uint64_t number = 0;
  const char* end = value_.data() + value_.size();
  const auto parsed = std::from_chars(value_.data(), end, number);
  const bool is_number = parsed.ec == std::errc() && parsed.ptr == end;
  if (!is_number || number < least || number > most) return refused("expected " + expected);
  return number;
}

Result<bool> GivenOption::flag() const {
  const auto given = number(0, 1, "0 or 1");
  if (!given) return given.error();
  return *given == 1;
}

Error GivenOption::refused(const std::string& why) const {
  return {Errc::unknown_option,
          "option '" + std::string(name_) + "' = '" + std::string(value_) + "': " + why};
}

Error GivenOption::unknown(std::initializer_list<std::string_view> own) const {
  std::vector<std::string> known = {"grace_ms", "memory_bytes", "checked", "several_communicators"};
  known.insert(known.end(), own.begin(), own.end());
  std::string all;
  for (const auto& name : known) all += (all.empty() ? "" : ", ") + name;
  return refused(runtime::did_you_mean(name_, known) + "this platform knows " + all);
}

Result<bool> ChipOptions::set(const GivenOption& option, std::uint64_t memory) {
  constexpr std::uint64_t longest_grace = 3'600'000;
  if (option.name() == "grace_ms") {
    const auto given = option.number(0, longest_grace, "milliseconds, at most an hour");
    if (!given) return given.error();
    grace = std::chrono::milliseconds(*given);
  } else if (option.name() == "memory_bytes") {
    const auto given = option.number(1, memory, "1.." + std::to_string(memory));
    if (!given) return given.error();
    memory_bytes = *given;
  } else if (option.name() == "checked") {
    const auto given = option.flag();
    if (!given) return given.error();
    checked = *given;
  } else if (option.name() == "several_communicators") {
    const auto given = option.flag();
    if (!given) return given.error();
    several_communicators = *given;
  } else {
    return false;
  }
  return true;
}

}  // namespace troupe::platform::common
