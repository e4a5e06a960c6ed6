#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/platform/device_api.hpp"

/// The conformance suite: what every platform library has to do, as rules that can be run one by one.
namespace troupe::conformance {

class Probe;

/// One rule. `check` throws `Violation` when the library breaks it and `Skipped` when it does not apply.
struct Rule {
  std::string_view name;      ///< a short id, also for --rule
  std::string_view sentence;  ///< what is required
  void (*check)(Probe&);
  std::uint32_t needs = 0;  ///< enum troupe_device_feature; a library that promises less skips the rule
};

/// All rules, in the order in which a new platform meets them.
std::vector<Rule> all_rules();

/// "windows, kernels from bytes": for people; empty for 0.
std::string name_of_features(std::uint32_t features);

enum class Verdict { pass, fail, skip };
struct Finding {
  Verdict verdict = Verdict::pass;
  std::string reason;  ///< of a failure or a skip
};

/// What the rules run. Without a module: the suite's own kernels, which are functions of its process. Without
/// `foreign`, the bytes of an object with the kernel that `rules_foreign.cpp` describes: the rule is skipped.
struct Materials {
  const troupe_module_v1* module = nullptr;
  std::vector<char> foreign;
  std::vector<std::pair<std::string, std::string>> options;  ///< of every context
  std::int32_t device = 0;  ///< on which all but the search for devices is done
};

/// Checks one rule in this process. A library that crashes or hangs takes the process along: the program
/// therefore runs each rule in a child. `patience` ends the wait for something that a broken library never
/// does; it says nothing about how fast a platform has to be.
Finding check(const Rule& rule, const platform::DeviceApi& api,
              std::chrono::milliseconds patience = std::chrono::seconds{60}, const Materials& materials = {});

struct Violation {
  std::string what;
};
struct Skipped {
  std::string why;
};

}  // namespace troupe::conformance
