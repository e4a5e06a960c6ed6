#include "platform/conformance/conformance.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <string>

#include "platform/meddler.hpp"
#include "platform/plugins/conformance_script.hpp"
#include "support/built.hpp"
#include "troupe/platform/child_processes.hpp"
#include "troupe/platform/device_library.hpp"

using namespace troupe;
using namespace troupe::test;
using conformance::Verdict;

TEST_CASE("the scripted chip passes every rule that applies to it") {
  const auto chip = test::conformance_chip();
  const auto api = chip.api();
  for (const auto& rule : conformance::all_rules()) {
    CAPTURE(std::string{rule.name});
    const auto finding = conformance::check(rule, api);
    CHECK_MESSAGE(finding.verdict != Verdict::fail, finding.reason);
    const bool beyond_it = rule.name.starts_with("comm-") || rule.name.starts_with("graph") ||
                           rule.name == "foreign-bytes" || rule.name == "overlap";
    CHECK((finding.verdict == Verdict::skip) == beyond_it);
  }
  CHECK(chip.live_contexts() == 0);
}

namespace {

conformance::Finding check(const char* name, const platform::DeviceApi& api,
                           const conformance::Materials& materials = {}) {
  for (const auto& rule : conformance::all_rules()) {
    if (rule.name == name) return conformance::check(rule, api, std::chrono::seconds{20}, materials);
  }
  return {Verdict::fail, "no such rule"};
}

std::string sim_library(const char* name) {
  return tests::built(std::string("lib/libtroupe_") + name + ".so");
}

// One function for each way in which a completion can be wrong, besides those that are never told of.
struct Wrong {
  const char* rule;
  Mutate mutate;
  const char* said;
};
const Wrong wrong_completions[] = {
    {"asynchronous", [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::twice>; },
     "was completed twice"},
    {"failing-kernel", [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::silent>; },
     "failed without a message"},
    {"asynchronous", [](DeviceApi& api) { api.create_device_context = create_meddled<&Meddler::backwards>; },
     "ended before it began"},
    {"asynchronous",
     [](DeviceApi& api) {
       api.create_device_context = create_meddled<&Meddler::nothing>;
       api.launch_runs = [](Handle h, const troupe_run* runs, std::size_t n, std::uint64_t s) {
         tell_of_nothing(*meddlers().of(h));
         return good().launch_runs(h, runs, n, s);
       };
     },
     "came on the stack of a function of the ABI"},
    {"callbacks",
     [](DeviceApi& api) {  // tells of another run while the host is inside its callback
       api.create_device_context = create_meddled<&Meddler::nothing>;
       api.device_malloc_ctx = [](Handle h, std::uint64_t n, std::uint64_t* at) {
         static std::atomic<bool> done = false;
         const auto code = good().device_malloc_ctx(h, n, at);
         if (code == TROUPE_DEVICE_REENTRANT_CALL && !done.exchange(true)) tell_of_nothing(*meddlers().of(h));
         return code;
       };
     },
     "overlap"},
    {"destroy-while-busy",
     [](DeviceApi& api) {
       api.create_device_context = create_meddled<&Meddler::nothing>;
       api.destroy_device_context = [](Handle h) {
         static std::atomic<Meddler*> last = nullptr;
         if (auto* before = last.exchange(meddlers().of(h))) tell_of_nothing(*before);
         return good().destroy_device_context(h);
       };
     },
     "after destroy had returned"},
};

}  // namespace

TEST_CASE("whatever is wrong with a completion is noticed, whichever rule runs") {
  for (const auto& wrong : wrong_completions) {
    CAPTURE(std::string{wrong.said});
    const auto chip = test::conformance_chip();
    auto api = chip.api();
    wrong.mutate(api);
    const auto finding = check(wrong.rule, api);
    CHECK(finding.verdict == Verdict::fail);
    CHECK_MESSAGE(finding.reason.find(wrong.said) != std::string::npos, finding.reason);
  }
}

TEST_CASE("the simulated chips say what their threads are inside of") {
  for (const char* name : {"a2a3sim", "a5sim"}) {
    CAPTURE(name);
    const auto finding = check("running", platform::DeviceLibrary::open(sim_library(name)).value().api());
    CHECK_MESSAGE(finding.verdict == Verdict::pass, finding.reason);
  }
}

TEST_CASE("the rule for kernels from bytes fails on a platform that does not look at their signature") {
  conformance::Materials materials;
  std::ifstream file(tests::built("tests/platform/sim/foreign/add.so"), std::ios::binary);
  materials.foreign.assign(std::istreambuf_iterator<char>(file), {});
  REQUIRE(!materials.foreign.empty());
  auto api = platform::DeviceLibrary::open(sim_library("a2a3sim")).value().api();
  CHECK(check("foreign-bytes", api).verdict == Verdict::skip);
  CHECK_MESSAGE(check("foreign-bytes", api, materials).verdict == Verdict::pass,
                check("foreign-bytes", api, materials).reason);
  api.register_callable = [](Handle h, const troupe_callable* callable, std::uint64_t* id) {
    static const auto real = platform::DeviceLibrary::open(sim_library("a2a3sim")).value().api();
    if (callable == nullptr) return real.register_callable(h, callable, id);
    auto unsigned_one = *callable;
    unsigned_one.signature_count = 0;
    return real.register_callable(h, &unsigned_one, id);
  };
  CHECK(check("foreign-bytes", api, materials).verdict == Verdict::fail);
}

TEST_CASE("the conformance program takes the suite's kernels from a module, and says what it cannot load") {
  const auto run = [](std::vector<std::string> words) {
    words.insert(words.begin(), {tests::built("bin/troupe-conformance"), "--library", sim_library("a5sim")});
    int code = -1;
    platform::ChildProcesses children;
    children
        .start({std::move(words), std::chrono::seconds{200}, [](std::string_view) {},
                [&](const platform::ChildEnd& end) { code = end.exit_code; }})
        .value();
    children.run();
    return code;
  };
  CHECK(run({"--module", tests::built("lib/libtroupe_conformance_kernels.so"), "--rule", "copies-in-and-out",
             "--rule", "poison"}) == 0);
  CHECK(run({"--module", "/no/such/module.so", "--rule", "poison"}) == 2);
  CHECK(run({"--foreign", "/no/such/object.so", "--rule", "poison"}) == 2);
  CHECK(run({"--foreign", tests::built("tests/platform/sim/foreign/add.so"), "--rule", "foreign-bytes"}) ==
        0);
}
