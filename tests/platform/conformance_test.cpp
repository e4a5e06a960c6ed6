#include "platform/conformance/conformance.hpp"

#include <doctest/doctest.h>

#include <string>

#include "platform/plugins/conformance_script.hpp"

using namespace troupe;
using conformance::Verdict;

TEST_CASE("the scripted chip passes every rule that applies to it") {
  const auto chip = test::conformance_chip();
  const auto api = chip.api();
  for (const auto& rule : conformance::all_rules()) {
    CAPTURE(std::string{rule.name});
    const auto finding = conformance::check(rule, api);
    CHECK_MESSAGE(finding.verdict != Verdict::fail, finding.reason);
    const bool comm = rule.name.starts_with("comm-");
    CHECK((finding.verdict == Verdict::skip) == comm);
  }
  CHECK(chip.live_contexts() == 0);
}
